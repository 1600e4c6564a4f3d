/* SPDX-License-Identifier: GPL-2.0 */
/* What a simulated card refuses; see card.c. */
#ifndef NSIM_CARD_H
#define NSIM_CARD_H

#include <linux/bitmap.h>
#include <linux/types.h>

struct bpf_offloaded_map;
struct bpf_prog;
struct bpf_verifier_env;
struct dentry;
struct netlink_ext_ack;

#define NSIM_CARD_BITS 256

struct nsim_card_set {
	DECLARE_BITMAP(bits, NSIM_CARD_BITS);
};

struct nsim_card {
	struct nsim_card_set helpers_refused;
	struct nsim_card_set opcodes_refused;
	struct nsim_card_set map_types;
	u32 insns_max;
	u32 stack_max;
	u32 map_key_max;
	u32 map_value_max;
	u32 map_element_max;
	u32 map_entries_max;
	u32 map_entries_left;
	u32 maps_max;
	u32 maps;
	bool map_store_accept;
	bool translate_accept;
	bool reload_accept;
};

void nsim_card_init(struct nsim_card *card, struct dentry *device);
void nsim_card_exit(struct nsim_card *card);
int nsim_card_insn(struct nsim_card *card, struct bpf_verifier_env *env, int insn);
int nsim_card_finalize(struct nsim_card *card, struct bpf_verifier_env *env);
int nsim_card_translate(struct nsim_card *card, struct bpf_prog *prog);
int nsim_card_reload(struct nsim_card *card, struct bpf_prog *prog,
		     struct bpf_prog *old, struct netlink_ext_ack *extack);
int nsim_card_map_alloc(struct nsim_card *card, struct bpf_offloaded_map *offmap);
void nsim_card_map_free(struct bpf_offloaded_map *offmap);

#endif
