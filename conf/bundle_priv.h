/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of a bundle, for its writer and its reader. All numbers are little endian; a slice is
 * {u32 where, u32 how much} in the pool, which is the rest of the file behind the tables.
 *
 *	0	magic, u32 version, u32 certificates, u32 names, u32 blobs, u64 size of all of it,
 *		digest of everything behind the header
 *	48	certificates, in order of their ids
 *		{id, chain, key, ocsp; digest; i64 not_before, not_after, ocsp_until; u8 key type}
 *	then	names, in order, and of their certificates' within one
 *		{name; u32 certificate, u32 0}
 *	then	blobs, in order of kind and reference
 *		{reference, octets; digest; u32 kind, u32 0}
 *	then	the pool: equal octets stand there once
 */
#ifndef GW_BUNDLE_PRIV_H
#define GW_BUNDLE_PRIV_H

#include "conf/bundle.h"

#define BUNDLE_MAGIC   "GWBUNDLE"
#define BUNDLE_VERSION 1

#define BUNDLE_HEAD 48
#define BUNDLE_CERT 80
#define BUNDLE_NAME 16
#define BUNDLE_BLOB 40

#endif
