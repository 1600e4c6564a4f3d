// SPDX-License-Identifier: GPL-2.0
/*
 * A simulated card that refuses what a real one refuses. Test-only: hoist's VM lab builds it into
 * a second netdevsim, beside the stock one.
 *
 * Stock netdevsim takes every program that the verifier takes and maps of two entries at most.
 * This file gives each device a folder "card" in debugfs whose knobs say what the card's driver
 * and firmware take. They are wide open at first, with maps of up to a million entries. Messages
 * and error numbers are those of the nfp driver (verifier.c, offload.c and jit.c there): the
 * verifier log where nfp writes to it, the kernel's log where nfp leaves the log clean.
 *
 * Knobs (u32 limits are the largest value that is taken; sets are lists like "1-3,25", an empty line empties them):
 *   helpers_refused    set of helper numbers: log, EOPNOTSUPP
 *   opcodes_refused    set of opcodes (decimal): log, EINVAL
 *   map_store_accept   N: stores to map values are refused: log, EOPNOTSUPP
 *   stack_max          bytes of stack of all functions together, each in units of 64: log, EOPNOTSUPP
 *   insns_max          instructions: kernel log, EINVAL with a clean verifier log
 *   translate_accept   N: translation fails: kernel log, EINVAL with a clean verifier log
 *   reload_accept      N: an attached program is not replaced: EBUSY, extack
 *   map_types          set of map types that are taken: kernel log, EOPNOTSUPP
 *   map_key_max, map_value_max, map_element_max (key and value, each rounded up to 8 bytes),
 *   map_entries_max (one map), map_entries_left (all maps; goes down and up with them),
 *   maps_max           kernel log, ENOMEM
 *   maps               how many maps the card holds now (read only)
 */

#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/debugfs.h>
#include <linux/jhash.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/netlink.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "card.h"

#define CARD_ENTRIES_MAX (1u << 20)

#define card_vlog(env, fmt, ...) bpf_verifier_log_write(env, "[netdevsim] " fmt, ##__VA_ARGS__)
#define card_dmesg(fmt, ...) pr_info("netdevsim: " fmt, ##__VA_ARGS__)

/* Tells the two builds of netdevsim apart before there is a device. */
static bool card = true;
module_param(card, bool, 0444);

static int card_set_show(struct seq_file *file, void *data)
{
	struct nsim_card_set *set = file->private;

	seq_printf(file, "%*pbl\n", NSIM_CARD_BITS, set->bits);
	return 0;
}

static int card_set_open(struct inode *inode, struct file *file)
{
	return single_open(file, card_set_show, inode->i_private);
}

static ssize_t card_set_write(struct file *file, const char __user *from, size_t len, loff_t *at)
{
	struct seq_file *seq = file->private_data;
	struct nsim_card_set *set = seq->private;
	int err;

	err = bitmap_parselist_user(from, len, set->bits, NSIM_CARD_BITS);
	return err ? err : len;
}

static const struct file_operations card_set_fops = {
	.owner = THIS_MODULE,
	.open = card_set_open,
	.read = seq_read,
	.write = card_set_write,
	.llseek = seq_lseek,
	.release = single_release,
};

void nsim_card_init(struct nsim_card *card, struct dentry *device)
{
	struct dentry *dir = debugfs_create_dir("card", device);

	set_bit(BPF_MAP_TYPE_HASH, card->map_types.bits);
	set_bit(BPF_MAP_TYPE_ARRAY, card->map_types.bits);
	debugfs_create_file("helpers_refused", 0600, dir, &card->helpers_refused, &card_set_fops);
	debugfs_create_file("opcodes_refused", 0600, dir, &card->opcodes_refused, &card_set_fops);
	debugfs_create_file("map_types", 0600, dir, &card->map_types, &card_set_fops);

	card->insns_max = U32_MAX;
	debugfs_create_u32("insns_max", 0600, dir, &card->insns_max);
	card->stack_max = U32_MAX;
	debugfs_create_u32("stack_max", 0600, dir, &card->stack_max);
	card->map_key_max = U32_MAX;
	debugfs_create_u32("map_key_max", 0600, dir, &card->map_key_max);
	card->map_value_max = U32_MAX;
	debugfs_create_u32("map_value_max", 0600, dir, &card->map_value_max);
	card->map_element_max = U32_MAX;
	debugfs_create_u32("map_element_max", 0600, dir, &card->map_element_max);
	card->map_entries_max = CARD_ENTRIES_MAX;
	debugfs_create_u32("map_entries_max", 0600, dir, &card->map_entries_max);
	card->map_entries_left = U32_MAX;
	debugfs_create_u32("map_entries_left", 0600, dir, &card->map_entries_left);
	card->maps_max = U32_MAX;
	debugfs_create_u32("maps_max", 0600, dir, &card->maps_max);
	debugfs_create_u32("maps", 0400, dir, &card->maps);

	card->map_store_accept = true;
	debugfs_create_bool("map_store_accept", 0600, dir, &card->map_store_accept);
	card->translate_accept = true;
	debugfs_create_bool("translate_accept", 0600, dir, &card->translate_accept);
	card->reload_accept = true;
	debugfs_create_bool("reload_accept", 0600, dir, &card->reload_accept);
}

void nsim_card_exit(struct nsim_card *card)
{
	WARN(card->maps, "%u maps outlived the card", card->maps);
}

/* The driver's hook at each instruction that the verifier follows. */
int nsim_card_insn(struct nsim_card *card, struct bpf_verifier_env *env, int insn)
{
	const struct bpf_insn *at = &env->prog->insnsi[insn];
	u8 class = BPF_CLASS(at->code);

	if (test_bit(at->code, card->opcodes_refused.bits)) {
		card_vlog(env, "instruction %#02x not supported\n", at->code);
		return -EINVAL;
	}
	if (at->code == (BPF_JMP | BPF_CALL) && !at->src_reg && (u32)at->imm < NSIM_CARD_BITS &&
	    test_bit(at->imm, card->helpers_refused.bits)) {
		card_vlog(env, "unsupported function id: %d\n", at->imm);
		return -EOPNOTSUPP;
	}
	if (!card->map_store_accept && (class == BPF_ST || class == BPF_STX) &&
	    BPF_MODE(at->code) == BPF_MEM &&
	    cur_regs(env)[at->dst_reg].type == PTR_TO_MAP_VALUE) {
		card_vlog(env, "map writes not supported\n");
		return -EOPNOTSUPP;
	}
	return 0;
}

/* As nfp_bpf_finalize, but by the sum over all functions: the deepest chain is not known here. */
int nsim_card_finalize(struct nsim_card *card, struct bpf_verifier_env *env)
{
	u32 stack = 0;
	int i;

	for (i = 0; i < env->subprog_cnt; i++)
		stack += round_up(env->subprog_info[i].stack_depth + (i ? 8 : 0), 64);
	if (stack > card->stack_max) {
		card_vlog(env, "stack too large: program %uB > FW stack %uB\n",
			  stack, card->stack_max);
		return -EOPNOTSUPP;
	}
	return 0;
}

int nsim_card_translate(struct nsim_card *card, struct bpf_prog *prog)
{
	int err = 0;

	if (prog->len > card->insns_max) {
		card_dmesg("instruction limit reached (%u NFP instructions)\n", card->insns_max);
		err = -ENOSPC;
	} else if (!card->translate_accept) {
		err = -EOPNOTSUPP;
	}
	if (!err)
		return 0;
	card_dmesg("Translation failed with error %d (translated: %u)\n",
		   err, min(prog->len, card->insns_max));
	return -EINVAL;
}

int nsim_card_reload(struct nsim_card *card, struct bpf_prog *prog,
		     struct bpf_prog *old, struct netlink_ext_ack *extack)
{
	if (!prog || !old || card->reload_accept)
		return 0;
	NL_SET_ERR_MSG_MOD(extack, "FW does not support live reload");
	return -EBUSY;
}

/* An element: the key, then the value at the next multiple of 8. Chains count from 1; 0 ends. */
struct card_element {
	void *data;
	u32 next;
};

struct card_map {
	struct nsim_card *card;
	struct mutex lock;
	struct card_element *elements;
	u32 *buckets;		/* hash maps only: the first element of each chain */
	u32 mask;
	u32 unused;		/* elements from here on were never used */
	u32 freed;		/* chain of elements that were deleted */
};

static bool card_is_array(const struct bpf_map *map)
{
	return map->map_type == BPF_MAP_TYPE_ARRAY;
}

static void *card_value(const struct bpf_map *map, void *data)
{
	return data + round_up(map->key_size, 8);
}

static u32 *card_bucket(struct card_map *cm, const struct bpf_map *map, const void *key)
{
	return &cm->buckets[jhash(key, map->key_size, 0) & cm->mask];
}

static int card_find(struct bpf_offloaded_map *offmap, const void *key)
{
	struct card_map *cm = offmap->dev_priv;
	struct bpf_map *map = &offmap->map;
	u32 i;

	if (card_is_array(map)) {
		i = *(const u32 *)key;
		return i < map->max_entries ? i : -ENOENT;
	}
	for (i = *card_bucket(cm, map, key); i; i = cm->elements[i - 1].next)
		if (!memcmp(cm->elements[i - 1].data, key, map->key_size))
			return i - 1;
	return -ENOENT;
}

/* Gives element @i memory with @key in it. */
static int card_fill(struct bpf_offloaded_map *offmap, u32 i, const void *key)
{
	struct card_map *cm = offmap->dev_priv;
	struct bpf_map *map = &offmap->map;
	void *data;

	data = kvzalloc(round_up(map->key_size, 8) + map->value_size,
			GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!data)
		return -ENOMEM;
	memcpy(data, key, map->key_size);
	cm->elements[i].data = data;
	return 0;
}

static int card_map_lookup(struct bpf_offloaded_map *offmap, void *key, void *value)
{
	struct card_map *cm = offmap->dev_priv;
	struct bpf_map *map = &offmap->map;
	int i;

	mutex_lock(&cm->lock);
	i = card_find(offmap, key);
	if (i >= 0 && cm->elements[i].data)
		memcpy(value, card_value(map, cm->elements[i].data), map->value_size);
	else if (i >= 0)
		memset(value, 0, map->value_size);
	mutex_unlock(&cm->lock);
	return i < 0 ? i : 0;
}

/* Takes an element for @key and links it into its chain. */
static int card_insert(struct bpf_offloaded_map *offmap, const void *key)
{
	struct card_map *cm = offmap->dev_priv;
	struct bpf_map *map = &offmap->map;
	u32 *bucket, i;
	int err;

	if (cm->freed)
		i = cm->freed - 1;
	else if (cm->unused < map->max_entries)
		i = cm->unused;
	else
		return -E2BIG;
	err = card_fill(offmap, i, key);
	if (err)
		return err;
	if (cm->freed)
		cm->freed = cm->elements[i].next;
	else
		cm->unused++;
	bucket = card_bucket(cm, map, key);
	cm->elements[i].next = *bucket;
	*bucket = i + 1;
	return i;
}

static int card_map_update(struct bpf_offloaded_map *offmap, void *key, void *value, u64 flags)
{
	struct card_map *cm = offmap->dev_priv;
	struct bpf_map *map = &offmap->map;
	int i, err = 0;

	mutex_lock(&cm->lock);
	i = card_find(offmap, key);
	if (i >= 0 && flags == BPF_NOEXIST)
		err = -EEXIST;
	else if (i < 0 && flags == BPF_EXIST)
		err = -ENOENT;
	else if (i < 0 && card_is_array(map))
		err = -E2BIG;
	else if (i < 0)
		err = i = card_insert(offmap, key);
	else if (!cm->elements[i].data)
		err = card_fill(offmap, i, key);
	if (err >= 0) {
		memcpy(card_value(map, cm->elements[i].data), value, map->value_size);
		err = 0;
	}
	mutex_unlock(&cm->lock);
	return err;
}

static int card_map_delete(struct bpf_offloaded_map *offmap, void *key)
{
	struct card_map *cm = offmap->dev_priv;
	u32 *link;
	int i;

	if (card_is_array(&offmap->map))
		return -EINVAL;
	mutex_lock(&cm->lock);
	i = card_find(offmap, key);
	if (i >= 0) {
		link = card_bucket(cm, &offmap->map, key);
		while (*link != i + 1)
			link = &cm->elements[*link - 1].next;
		*link = cm->elements[i].next;
		kvfree(cm->elements[i].data);
		cm->elements[i].data = NULL;
		cm->elements[i].next = cm->freed;
		cm->freed = i + 1;
	}
	mutex_unlock(&cm->lock);
	return i < 0 ? i : 0;
}

static int card_map_next(struct bpf_offloaded_map *offmap, void *key, void *next)
{
	struct card_map *cm = offmap->dev_priv;
	struct bpf_map *map = &offmap->map;
	int i = -ENOENT, err = -ENOENT;

	mutex_lock(&cm->lock);
	if (key)
		i = card_find(offmap, key);
	i = i < 0 ? 0 : i + 1;
	if (card_is_array(map)) {
		if (i < map->max_entries) {
			*(u32 *)next = i;
			err = 0;
		}
	} else {
		while (i < cm->unused && !cm->elements[i].data)
			i++;
		if (i < cm->unused) {
			memcpy(next, cm->elements[i].data, map->key_size);
			err = 0;
		}
	}
	mutex_unlock(&cm->lock);
	return err;
}

static const struct bpf_map_dev_ops card_map_ops = {
	.map_get_next_key = card_map_next,
	.map_lookup_elem = card_map_lookup,
	.map_update_elem = card_map_update,
	.map_delete_elem = card_map_delete,
};

/* What the card takes, in the order and in the words of nfp_bpf_map_alloc. */
static int card_map_check(const struct nsim_card *card, const struct bpf_map *map)
{
	u32 element = round_up(map->key_size, 8) + round_up(map->value_size, 8);

	if (map->map_flags || map->numa_node != NUMA_NO_NODE) {
		card_dmesg("map flags are not supported\n");
		return -EINVAL;
	}
	if (map->map_type >= NSIM_CARD_BITS || !test_bit(map->map_type, card->map_types.bits)) {
		card_dmesg("map type not supported\n");
		return -EOPNOTSUPP;
	}
	if (card->maps >= card->maps_max) {
		card_dmesg("too many maps for a device\n");
		return -ENOMEM;
	}
	if (map->max_entries > min(card->map_entries_left, card->map_entries_max)) {
		card_dmesg("map with too many elements: %u, left: %u\n", map->max_entries,
			   min(card->map_entries_left, card->map_entries_max));
		return -ENOMEM;
	}
	if (element > card->map_element_max) {
		card_dmesg("map elements too large: %u, FW max element size (key+value): %u\n",
			   element, card->map_element_max);
		return -ENOMEM;
	}
	if (map->key_size > card->map_key_max) {
		card_dmesg("map key size %u, FW max is %u\n", map->key_size, card->map_key_max);
		return -ENOMEM;
	}
	if (map->value_size > card->map_value_max) {
		card_dmesg("map value size %u, FW max is %u\n",
			   map->value_size, card->map_value_max);
		return -ENOMEM;
	}
	return 0;
}

int nsim_card_map_alloc(struct nsim_card *card, struct bpf_offloaded_map *offmap)
{
	struct bpf_map *map = &offmap->map;
	struct card_map *cm;
	u32 buckets;
	int err;

	err = card_map_check(card, map);
	if (err)
		return err;
	cm = kzalloc(sizeof(*cm), GFP_KERNEL_ACCOUNT);
	if (!cm)
		return -ENOMEM;
	cm->card = card;
	cm->elements = kvcalloc(map->max_entries, sizeof(*cm->elements),
				GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!cm->elements)
		goto err_free;
	if (!card_is_array(map)) {
		buckets = roundup_pow_of_two(map->max_entries);
		cm->mask = buckets - 1;
		cm->buckets = kvcalloc(buckets, sizeof(*cm->buckets),
				       GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!cm->buckets)
			goto err_free;
	}
	mutex_init(&cm->lock);
	card->maps++;
	card->map_entries_left -= map->max_entries;
	offmap->dev_priv = cm;
	offmap->dev_ops = &card_map_ops;
	return 0;

err_free:
	kvfree(cm->elements);
	kfree(cm);
	return -ENOMEM;
}

void nsim_card_map_free(struct bpf_offloaded_map *offmap)
{
	struct card_map *cm = offmap->dev_priv;
	u32 i;

	for (i = 0; i < offmap->map.max_entries; i++)
		kvfree(cm->elements[i].data);
	cm->card->maps--;
	cm->card->map_entries_left += offmap->map.max_entries;
	mutex_destroy(&cm->lock);
	kvfree(cm->buckets);
	kvfree(cm->elements);
	kfree(cm);
}
