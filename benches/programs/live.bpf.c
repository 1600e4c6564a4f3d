// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Makes frames under BPF_PROG_TEST_RUN with live frames, one call per core: `flood` as fast as it
 * can, `paced` by a schedule that does not wait for anybody (open loop). What it gives back to the
 * kernel as XDP_DROP costs a turn of the loop and nothing else: the page is used again.
 *
 * The kernel does not write a page anew when it is used again, and whoever received the frame may
 * have written into it. So every turn writes the whole header, unless told that nobody does.
 */
#include "stamp.h"

#define CORES 64
#define HEADER 128
#define BUCKETS 592
/* Turns between two looks at the clock of a generator without a schedule. */
#define STRIDE 1024
/*
 * How long after the end of the schedule frames that are late may still be sent by a core that was
 * behind for long: one that is too slow does not become fast enough by being given more time.
 */
#define GRACE 100000

enum flags {
	/* Write the header. */
	FRESH = 1,
	/* There are several sizes. */
	MIXED = 2,
	/* There are several flows. */
	FLOWS = 4,
	/* Write a stamp. */
	STAMPED = 8,
	/* IPv6, so that UDP has a checksum. */
	IPV6 = 16,
	/* There is an outer UDP header whose source port differs by flow. */
	TUNNEL = 32,
};

/* What is fixed when the program is loaded, so that the verifier takes out what is not needed. */
const volatile struct {
	__u32 flags;
	/* Length of the longest frame, which is the one that the kernel copies. */
	__u32 length;
	/* Bytes of the header, a multiple of 8. */
	__u32 header;
	/* Bytes of the header that a flow decides, and where they are. */
	__u32 tuple;
	__u32 tuple_bytes;
	/* Where the checksum is that covers them. */
	__u32 checksum;
	/* Where the source port of the outer UDP header is. */
	__u32 outer_port;
	__u32 flows;
	__u32 order;
	__u32 burst;
	__u32 token;
	/* Stream of the first core. */
	__u32 stream;
} config;

/* What differs from trial to trial; times in nanoseconds, `step` and `phase` in 2^-16 of them. */
struct run {
	/* Since when the schedule counts: set by whoever comes last, so that all cores begin together. */
	__u64 start;
	__u64 step;
	__u64 duration;
	/* Frames that each core sends at most. */
	__u64 limit;
	__u32 cores;
	__u32 ready;
	/* How long after the end a core may still send that kept up at `recent` or later. */
	__u64 grace;
	__u64 recent;
};

enum ended {
	RUNNING,
	/* Everything that the schedule called for, or the limit allowed, was sent. */
	COMPLETE,
	/* Time was up. */
	LATE,
	STOPPED,
};

struct core {
	__u64 generated;
	__u64 bytes;
	__u64 first;
	__u64 last;
	__u64 due;
	/* When the clock is looked at next, in frames. */
	__u64 look;
	__u64 not_least_late;
	__u64 most_late;
	__u32 flow;
	__u32 place;
	__u32 burst;
	__u32 begun;
	__u32 ended;
	__u32 number;
	/* When it last had nothing to do, since the start: until then it kept up. */
	__u64 kept_up;
	__u32 unused[6];
} __attribute__((aligned(128)));

struct {
	struct run run;
	struct core cores[CORES];
} state;

/* Apart from what the program writes, so that it can be set while that runs. */
SEC(".data") volatile __u32 stop = 0;

struct shape {
	__u32 length;
	/* Sum of what the checksum covers, without the flow's and the stamp's part. */
	__u32 sum;
	/* The stamp begins at an odd byte of it, so that its sum has its bytes swapped. */
	__u32 odd;
	__u32 unused;
	__u64 header[HEADER / 8];
};

struct flow {
	__u32 tuple[9];
	__u32 sum;
	__be16 outer_port;
	__u16 unused[3];
};

struct lateness {
	__u64 buckets[BUCKETS];
};

/* The interface. Found here it costs less than by its index. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} out SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct shape);
} shapes SEC(".maps");

/* Which shape comes when. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} order SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CORES);
	__type(key, __u32);
	__type(value, struct lateness);
} lateness SEC(".maps");

__helper __u64 (*bpf_ktime_get_ns)(void) = (void *)5;
__helper __u32 (*bpf_get_smp_processor_id)(void) = (void *)8;

/* A one's complement sum in 16 bits, complemented. */
static __inline __u16 complement(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __inline __u64 sum_of(__u64 word)
{
	return (word & 0xffffffff) + (word >> 32);
}

/* Writes what a frame has that others have not; false when it cannot be. */
static __inline int fill(struct xdp_md *ctx, struct core *core, __u64 intended, __u64 now)
{
	const __u32 flags = config.flags;
	void *data = frame(ctx), *end = frame_end(ctx);
	struct shape *shape = 0;
	struct flow *flow = 0;
	__u32 length = config.length, i, key = 0;
	__u64 sum = 0, who = 0, when = 0;
	struct stamp *stamp;

	if (flags & FRESH) {
		if (flags & MIXED) {
			__u32 *which = bpf_map_lookup_elem(&order, &core->place);

			core->place = core->place + 1 == config.order ? 0 : core->place + 1;
			if (!which)
				return 0;
			key = *which;
		}
		shape = bpf_map_lookup_elem(&shapes, &key);
		if (!shape)
			return 0;
		if (flags & MIXED && shape->length != length) {
			length = shape->length;
			if (bpf_xdp_adjust_tail(ctx, (int)length - (int)config.length))
				return 0;
			data = frame(ctx);
			end = frame_end(ctx);
		}
		if (data + config.header > end)
			return 0;
#pragma unroll
		for (i = 0; i < HEADER / 8; i++)
			if (i * 8 < config.header)
				((__u64 *)data)[i] = shape->header[i];
		sum = shape->sum;
	}
	core->bytes += length;
	if (flags & STAMPED) {
		who = (__u16)config.token | (__u64)(__u8)(config.stream + core->number) << 16 |
		      (intended >> 32 & 0xff) << 24 | core->generated << 32;
		when = (__u32)intended | now << 32;
		if (flags & MIXED) {
			stamp = data + (length - sizeof(*stamp) & 0x7fff);
			asm volatile("" : "+r"(stamp));
		} else {
			stamp = data + (config.length - sizeof(*stamp));
		}
		if ((void *)(stamp + 1) > end)
			return 0;
		stamp->who = who;
		stamp->when = when;
	}
	if (flags & FLOWS) {
		key = core->flow;
		core->flow = key + 1 == config.flows ? 0 : key + 1;
		flow = bpf_map_lookup_elem(&flows, &key);
		if (!flow || data + config.header > end)
			return 0;
#pragma unroll
		for (i = 0; i < 9; i++)
			if (i * 4 < config.tuple_bytes)
				*(__u32 *)(data + config.tuple + i * 4) = flow->tuple[i];
		sum += flow->sum;
		if (flags & TUNNEL)
			*(__be16 *)(data + config.outer_port) = flow->outer_port;
	}
	if (flags & IPV6 && flags & STAMPED) {
		__u64 more = sum_of(who) + sum_of(when);

		more = ~complement(more) & 0xffff;
		sum += shape && shape->odd ? __builtin_bswap16(more) : more;
	}
	if (flags & FLOWS || (flags & IPV6 && flags & STAMPED)) {
		__u16 checksum = complement(sum);

		/* RFC 768: no sum is sent as all ones. */
		if (flags & IPV6 && !checksum)
			checksum = 0xffff;
		if (data + config.header > end)
			return 0;
		*(__u16 *)(data + config.checksum) = checksum;
	}
	return 1;
}

/* Waits until all cores are there, and has them begin together. */
static __inline __u64 begin(struct core *core, __u64 now)
{
	struct run *run = &state.run;

	if (!core->begun) {
		core->begun = 1;
		__sync_fetch_and_add(&run->ready, 1);
	}
	if (*(volatile __u32 *)&run->ready < run->cores)
		return 0;
	__sync_val_compare_and_swap(&run->start, 0, now);
	return *(volatile __u64 *)&run->start;
}

SEC("xdp")
int xdp_flood(struct xdp_md *ctx)
{
	struct core *core = &state.cores[bpf_get_smp_processor_id() & (CORES - 1)];
	struct run *run = &state.run;
	__u64 now = 0;

	if (core->generated == core->look) {
		if (core->ended)
			return XDP_DROP;
		now = bpf_ktime_get_ns();
		if (!core->first) {
			if (!begin(core, now))
				return XDP_DROP;
			core->first = now;
		}
		core->last = now;
		if (core->generated == run->limit)
			core->ended = COMPLETE;
		else if (stop)
			core->ended = STOPPED;
		else if (now - core->first >= run->duration)
			core->ended = COMPLETE;
		if (core->ended)
			return XDP_DROP;
		core->look += STRIDE;
		if (core->look > run->limit)
			core->look = run->limit;
	}
	if (config.flags & STAMPED) {
		if (!now)
			now = bpf_ktime_get_ns();
		if (!fill(ctx, core, now, now))
			return XDP_ABORTED;
	} else if (config.flags) {
		if (!fill(ctx, core, 0, 0))
			return XDP_ABORTED;
	}
	core->generated += 1;
	return bpf_redirect_map(&out, 0, 0);
}

/* The greatest power of two not above a value that is not zero, as its exponent. */
static __inline __u32 exponent(__u64 value)
{
	__u32 e = 0;

	if (value >> 32) {
		value >>= 32;
		e += 32;
	}
	if (value >> 16) {
		value >>= 16;
		e += 16;
	}
	if (value >> 8) {
		value >>= 8;
		e += 8;
	}
	if (value >> 4) {
		value >>= 4;
		e += 4;
	}
	if (value >> 2) {
		value >>= 2;
		e += 2;
	}
	return value >> 1 ? e + 1 : e;
}

/* Sixteen buckets for each power of two: src/meter/histogram.rs has the same. */
static __inline __u32 bucket(__u64 value)
{
	__u32 e;

	if (value < 16)
		return value;
	e = exponent(value);
	return (e - 3) * 16 + (value >> (e - 4) & 15);
}

static __inline void was_late(struct core *core, __u64 late)
{
	__u32 key = core->number, at = bucket(late);
	struct lateness *l = bpf_map_lookup_elem(&lateness, &key);

	if (!l)
		return;
	if (at >= BUCKETS)
		at = BUCKETS - 1;
	l->buckets[at] += 1;
	if (~late > core->not_least_late)
		core->not_least_late = ~late;
	if (late > core->most_late)
		core->most_late = late;
}

SEC("xdp")
int xdp_paced(struct xdp_md *ctx)
{
	struct core *core = &state.cores[bpf_get_smp_processor_id() & (CORES - 1)];
	struct run *run = &state.run;
	__u64 now, due, since, grace;

	if (core->ended)
		return XDP_DROP;
	now = bpf_ktime_get_ns();
	if (!core->first) {
		if (!begin(core, now))
			return XDP_DROP;
		core->first = run->start;
	}
	/* The clocks of two cores may differ by what it takes to say so. */
	since = now > core->first ? now - core->first : 0;
	due = core->due >> 16;
	grace = core->kept_up >= run->recent ? run->grace : GRACE;
	if (stop)
		core->ended = STOPPED;
	else if (due >= run->duration || core->generated == run->limit)
		core->ended = COMPLETE;
	else if (since > run->duration + grace)
		core->ended = LATE;
	else if (since < due) {
		core->kept_up = since;
		return XDP_DROP;
	}
	if (core->ended) {
		core->last = now;
		return XDP_DROP;
	}
	if (!fill(ctx, core, core->first + due, now))
		return XDP_ABORTED;
	was_late(core, since - due);
	core->generated += 1;
	core->burst += 1;
	if (core->burst >= config.burst) {
		core->burst = 0;
		core->due += run->step;
	}
	return bpf_redirect_map(&out, 0, 0);
}

char _license[] SEC("license") = "Dual MIT/GPL";
