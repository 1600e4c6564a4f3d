//! What needs the NIC's help: the native engine, and what is known of each NIC driver.
