/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The last 16 bytes of a frame of the generator: who sent it, when, and when it should have been
 * sent. src/stamp.rs describes the same.
 */
#ifndef STAMP_H
#define STAMP_H

#include "hoist.h"

/* Two words, little-endian, at the end of the frame. */
struct stamp {
	/* token (16 bits), stream (8), intended >> 32 (8), sequence (32) */
	__u64 who;
	/* intended (32), sent (32), in nanoseconds of CLOCK_MONOTONIC */
	__u64 when;
} __packed;

static __inline __u16 stamp_token(__u64 who)
{
	return who;
}

static __inline __u8 stamp_stream(__u64 who)
{
	return who >> 16;
}

static __inline __u32 stamp_sequence(__u64 who)
{
	return who >> 32;
}

/* Nanoseconds that passed since the frame should have been sent, up to 18 minutes. */
static __inline __u64 since_intended(__u64 who, __u64 when, __u64 now)
{
	__u64 intended = (who >> 24 & 0xff) << 32 | (__u32)when;

	return (now - intended) & 0xffffffffffULL;
}

/* Nanoseconds that passed since it was sent, up to 4 seconds. */
static __inline __u64 since_sent(__u64 when, __u64 now)
{
	return (__u32)(now - (when >> 32));
}

#endif
