/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What the programs of this directory need besides hoist.h. */
#ifndef LOWERING_H
#define LOWERING_H

#include "../../../../bpf/programs/hoist.h"

typedef signed char __s8;

__helper long (*bpf_map_update_elem)(void *map, const void *key, const void *value,
				     __u64 flags) = (void *)2;

/* Memory is read before this and written after it as the source says. */
#define keep(pointer) asm volatile("" : : "r"(pointer) : "memory")

#endif
