/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* kbtf_module.h - what is in the BTF of a kernel module (5.11), which goes on from the kernel's. */
#ifndef BPFNET_KBTF_MODULE_H
#define BPFNET_KBTF_MODULE_H

struct kbtf_function {
	int id; /* in the module's BTF */
	int nr_args;
	int btf_fd; /* the module's BTF, for attach_btf_obj_fd; whoever asked closes it */
};

/* 0; -ENOENT if the module or its BTF has no such function; -errno. */
int kbtf_module_function(const char *module, const char *name, struct kbtf_function *function);
/* Bytes from the beginning of a struct to one of its members. -ENOENT; -errno. */
int kbtf_module_member(const char *module, const char *type, const char *member);

#endif
