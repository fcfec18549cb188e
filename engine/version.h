/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef BPFNET_VERSION_H
#define BPFNET_VERSION_H

#define BPFNET_VERSION "0.1.0"

#endif
