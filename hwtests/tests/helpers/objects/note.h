/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Programs that call helpers with good and bad arguments, and note what each call returned. Kernel and
 * userspace machine run the same program; whatever they note, do to the frame, or leave in maps must be
 * equal.
 */
#ifndef NOTE_H
#define NOTE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define NOTES 64

__u64 notes[NOTES];

/* What a call returned. Nothing is kept from one run to the next. */
#define NOTE(at, value) (notes[at] = (__u64)(value))

/* Keeps the compiler from knowing a value. */
#define HIDE(value)                                                                                \
	({                                                                                         \
		typeof(value) hidden = value;                                                      \
		asm volatile("" : "+r"(hidden));                                                   \
		hidden;                                                                            \
	})

char _license[] SEC("license") = "GPL";

#endif
