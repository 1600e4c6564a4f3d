// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What a trial receives: frames that carry its token are counted, put into order by stream and
 * sequence number, and their latency is put into histograms. They are dropped then; all others are
 * counted and go on to the host.
 */
#include "stamp.h"

#define STREAMS 256
#define WINDOW_WORDS 16
#define WINDOW (64 * WINDOW_WORDS)

/* Of log-linear histograms: 16 for each power of two, up to 2^40 ns. */
#define BUCKETS 592

enum flags {
	SEQUENCED = 1,
	TIMED = 2,
};

enum histograms {
	FROM_INTENDED,
	FROM_SENT,
	LATENESS,
	HISTOGRAMS,
};

struct settings {
	__u32 token;
	__u32 flags;
};

/* The complement of the least value, so that zero is where both extremes begin. */
struct extremes {
	__u64 not_least;
	__u64 most;
};

struct tally {
	__u64 ours;
	__u64 foreign;
	struct extremes extremes[HISTOGRAMS];
};

struct bpf_spin_lock {
	__u32 value;
};

struct stream {
	struct bpf_spin_lock lock;
	/* The sequence number expected next. */
	__u32 next;
	__u64 received;
	/* Sequence numbers passed over; those that come later are `reordered` (RFC 4737). */
	__u64 skipped;
	__u64 reordered;
	__u64 duplicates;
	/* Older than the window: one or the other. */
	__u64 stale;
	/* Which of the last numbers were seen. */
	__u64 window[WINDOW_WORDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tally);
} tally SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HISTOGRAMS * BUCKETS);
	__type(key, __u32);
	__type(value, __u64);
} histograms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STREAMS);
	__type(key, __u32);
	__type(value, struct stream);
} streams SEC(".maps");

__helper __u64 (*bpf_ktime_get_ns)(void) = (void *)5;
__helper void (*bpf_spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
__helper void (*bpf_spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;

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
	return e + (value >> 1);
}

static __inline __u32 bucket(__u64 value)
{
	__u32 e;

	if (value < 16)
		return value;
	e = exponent(value);
	return (e - 3) * 16 + (value >> (e - 4) & 15);
}

static __inline void put(struct tally *sum, __u32 histogram, __u64 nanoseconds)
{
	__u32 at = bucket(nanoseconds);
	struct extremes *extremes = &sum->extremes[histogram];
	__u64 *count;

	at = histogram * BUCKETS + (at < BUCKETS ? at : BUCKETS - 1);
	count = bpf_map_lookup_elem(&histograms, &at);
	if (count)
		*count += 1;
	if (~nanoseconds > extremes->not_least)
		extremes->not_least = ~nanoseconds;
	if (nanoseconds > extremes->most)
		extremes->most = nanoseconds;
}

static __inline void order(__u32 number, __u32 sequence)
{
	struct stream *stream = bpf_map_lookup_elem(&streams, &number);
	__u64 bit = 1ULL << (sequence & 63);
	__u32 word = sequence / 64 % WINDOW_WORDS;
	__u32 ahead, at, i;

	if (!stream)
		return;
	bpf_spin_lock(&stream->lock);
	stream->received += 1;
	ahead = sequence - stream->next;
	if ((__s32)ahead >= 0) {
		stream->skipped += ahead;
		/* Words that the window enters anew. */
		at = stream->next / 64 + (stream->next % 64 != 0);
		for (i = 0; i < WINDOW_WORDS; i++) {
			/* Numbers of words have 26 bits: is this one behind the last? */
			if (sequence / 64 - at & 1 << 25)
				break;
			stream->window[at % WINDOW_WORDS] = 0;
			at++;
		}
		stream->window[word] |= bit;
		stream->next = sequence + 1;
	} else if (-ahead > WINDOW - 64) {
		stream->stale += 1;
	} else if (stream->window[word] & bit) {
		stream->duplicates += 1;
	} else {
		stream->reordered += 1;
		stream->window[word] |= bit;
	}
	bpf_spin_unlock(&stream->lock);
}

static __inline void receive(struct tally *sum, __u32 flags, __u64 who, __u64 when)
{
	sum->ours += 1;
	if (flags & TIMED) {
		__u64 now = bpf_ktime_get_ns();
		__u64 intended = since_intended(who, when, now);
		__u64 sent = since_sent(when, now);

		put(sum, FROM_INTENDED, intended);
		put(sum, FROM_SENT, sent);
		put(sum, LATENESS, intended > sent ? intended - sent : 0);
	}
	if (flags & SEQUENCED)
		order(stamp_stream(who), stamp_sequence(who));
}

SEC("xdp")
int xdp_receive(struct xdp_md *ctx)
{
	void *data = frame(ctx), *end = frame_end(ctx);
	__u64 last = end - data - sizeof(struct stamp);
	struct settings *set;
	struct stamp *stamp;
	struct tally *sum;
	__u32 zero = 0;

	set = bpf_map_lookup_elem(&settings, &zero);
	sum = bpf_map_lookup_elem(&tally, &zero);
	if (!set || !sum)
		return XDP_ABORTED;
	if (last > 0x7fff)
		goto foreign;
	stamp = data + last;
	/* Else the compiler compares another sum, and the verifier learns nothing of this one. */
	asm volatile("" : "+r"(stamp));
	if ((void *)(stamp + 1) > end)
		goto foreign;
	if (stamp_token(stamp->who) != (__u16)set->token)
		goto foreign;
	receive(sum, set->flags, stamp->who, stamp->when);
	return XDP_DROP;
foreign:
	sum->foreign += 1;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
