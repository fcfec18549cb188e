# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# make            build .output/bpfnet
# make demo       install what is needed, build, and watch traffic that it makes itself
# make check      install what is needed, build, and run all tests
# make install    PREFIX=/usr/local DESTDIR=
# make lint       formatting, static analysis
# make meta       annotations of the probes, for editors, from what the objects say of themselves
# make bench      what it costs, beside bpftrace, libbpf-tools and BCC where they are installed
# make deps       install what building and testing needs (Debian's packages)
#
# V=1 shows commands; STATIC=1 links everything in, for nodes with another libc.

OUT     := .output
PREFIX  ?= /usr/local
CC      ?= gcc
CLANG   ?= clang
STRIP   ?= llvm-strip
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)

BUILD_DEPS := clang llvm bpftool gcc libc6-dev make pkg-config libbpf-dev libelf-dev libpcap-dev zlib1g-dev \
              liblua5.4-dev lua-cjson-dev libcurl4-openssl-dev libedit-dev
TEST_DEPS  := lua-busted iproute2 iptables nftables kmod util-linux procps busybox-static cpio xz-utils \
              zstd lz4 qemu-system-x86 libcap2-bin curl libclang-rt-dev man-db groff-base zsh tmux \
              strace
LINT_DEPS  := clang-format cppcheck lua-check
DEMO_DEPS  := busybox-static curl iproute2
NEEDED      = $(BUILD_DEPS) $(TEST_DEPS) $(LINT_DEPS)

V ?= 0
ifeq ($(V),0)
  Q = @
  say = @printf '  %-8s %s\n' $(1) $(2)
endif

BPF_ARCH := $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')

CFLAGS  ?= -O2 -g
WARN    := -Wall -Wextra -Wshadow -Werror
INCLUDE := -Iengine -I$(OUT) $(shell pkg-config --cflags lua5.4 2>/dev/null)
LUA_A   := $(shell pkg-config --variable=libdir lua5.4 2>/dev/null)/liblua5.4.a
LIBS     = -Wl,--wrap=getaddrinfo -Wl,-Bstatic -lpcap -lbpf -lelf -lz -ledit -lbsd -l:liblua5.4.a -l:liblua5.4-cjson.a
ifdef STATIC
  LINK = -static $(LIBS) -lm -lpthread
else
  # Exported, so that C modules that a script requires find Lua in the binary. Nothing else: libcurl would
  # take our zlib for its own.
  LINK = -Wl,--export-dynamic-symbol='lua*' $(LIBS) -Wl,-Bdynamic -lm -ldl -lpthread
endif

BPF_SRC  := $(wildcard bpf/*.bpf.c)
BPF_HDR  := $(wildcard bpf/*.h)
SKELS    := $(BPF_SRC:bpf/%.bpf.c=$(OUT)/%.skel.h)
C_SRC    := $(wildcard engine/*.c)
C_OBJ    := $(C_SRC:engine/%.c=$(OUT)/engine/%.o)
LIB_OBJ  := $(filter-out $(OUT)/engine/main.o,$(C_OBJ)) $(OUT)/skels.o $(OUT)/embedded.o
LUA_SRC  := $(sort $(wildcard lua/bpfnet/*.lua))
SCRIPTS  := $(sort $(wildcard scripts/*.lua))

.PHONY: all packages deps demo check test vmcheck bench install lint meta clean
.DELETE_ON_ERROR:
.SECONDARY:

all: $(OUT)/bpfnet

$(OUT)/bpfnet: $(OUT)/engine/main.o $(LIB_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LINK)

$(OUT)/engine/%.o: engine/%.c Makefile
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(CFLAGS) $(WARN) $(INCLUDE) -MMD -MP -c -o $@ $<

# A padding hole in an event would carry kernel stack to user space, hence -Wpadded as an error.
$(OUT)/%.bpf.o: bpf/%.bpf.c $(BPF_HDR) Makefile
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) -g -O2 -mcpu=v2 -target bpf -D__TARGET_ARCH_$(BPF_ARCH) -fms-extensions \
		-Wall -Wextra -Wpadded -Werror -Wno-unused-parameter -Wno-microsoft-anon-tag \
		-Wno-missing-field-initializers -MMD -MP -MF $(OUT)/$*.bpf.d -c -o $@ $<
	$(Q)$(STRIP) -g $@

$(OUT)/%.skel.h: $(OUT)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf >$@

# One table of all skeletons' bytes; probe.c opens any of them.
$(OUT)/skels.c: $(SKELS) Makefile
	$(call say,GEN,$@)
	$(Q){ echo '#include "skels.h"'; \
	  for n in $(sort $(BPF_SRC:bpf/%.bpf.c=%)); do \
	    echo "#include \"$$n.skel.h\""; \
	    echo "static const void *$${n}_bytes(size_t *n) { return $${n}_bpf__elf_bytes(n); }"; \
	  done; \
	  echo 'const struct skel skels[] = {'; \
	  for n in $(sort $(BPF_SRC:bpf/%.bpf.c=%)); do echo "	{ \"$$n\", $${n}_bytes },"; done; \
	  echo '	{ 0, 0 }'; echo '};'; } >$@

$(OUT)/skels.o: $(OUT)/skels.c
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu11 $(CFLAGS) $(INCLUDE) -w -c -o $@ $<

# Lua files go in as they are, by the assembler: names, then where each starts and ends.
$(OUT)/embedded.c: $(LUA_SRC) $(SCRIPTS) engine/embed.sh Makefile
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)sh engine/embed.sh $(LUA_SRC) -- $(SCRIPTS) >$@

$(OUT)/embedded.o: $(OUT)/embedded.c $(LUA_SRC) $(SCRIPTS)
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu11 $(CFLAGS) $(INCLUDE) -c -o $@ $<

# The newest lists, then only what is missing; nothing to do costs no network.
packages:
	$(Q)missing=$$(dpkg-query -W -f '$${Package} $${db:Status-Abbrev}\n' $(NEEDED) 2>/dev/null | \
		awk '$$2 == "ii" { have[$$1] = 1 } END { n = split("$(NEEDED)", p, " "); \
		for (i = 1; i <= n; i++) if (!have[p[i]]) printf "%s ", p[i] }'); \
	if [ -n "$$missing" ]; then \
		echo "  APT      $$missing"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

# Programs with services are unpacked in .output and not installed: none is started.
deps: packages
	$(Q)tests/runtime/programs.sh fetch
	$(Q)tests/runtime/containers.sh fetch

# Each through a make of its own: what is installed is looked for when make starts.
demo: NEEDED = $(BUILD_DEPS) $(DEMO_DEPS)
demo: packages
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all
	$(Q)sh scripts/demo.sh

check: deps
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all
	$(Q)tests/run

# Tests without installing anything; PART="unit spec" runs some.
test: all
	$(Q)tests/run $(PART)

# What depends on the kernel, on all four: an hour and more.
vmcheck: all
	$(Q)tests/run vmcheck

bench: all
	$(Q)tests/bench/all

install: all
	install -D -m 755 $(OUT)/bpfnet $(DESTDIR)$(PREFIX)/bin/bpfnet
	install -d $(DESTDIR)$(PREFIX)/share/bpfnet/scripts $(DESTDIR)$(PREFIX)/share/bpfnet/bpf
	install -m 644 $(SCRIPTS) $(DESTDIR)$(PREFIX)/share/bpfnet/scripts
	install -m 644 $(BPF_HDR) $(DESTDIR)$(PREFIX)/share/bpfnet/bpf
	install -D -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/bpfnet/LICENSE
	install -d $(DESTDIR)$(PREFIX)/share/bpfnet/lua/bpfnet $(DESTDIR)$(PREFIX)/share/man/man8 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions
	install -m 644 $(LUA_SRC) $(DESTDIR)$(PREFIX)/share/bpfnet/lua/bpfnet
	$(OUT)/bpfnet help --man >$(DESTDIR)$(PREFIX)/share/man/man8/bpfnet.8
	$(OUT)/bpfnet help --completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/bpfnet
	$(OUT)/bpfnet help --completion zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_bpfnet

# A probe that is gone leaves no file. What is embedded of them changes with the next make.
meta: all
	$(Q)rm -f lua/bpfnet/_meta_probe_*.lua
	$(Q)$(OUT)/bpfnet run -e 'require("bpfnet.probes_meta").write("lua/bpfnet")'

lint:
	$(Q)clang-format --dry-run -Werror engine/*.[ch] bpf/*.[ch] tests/unit/*.[ch] tests/fuzz/*.c \
		tests/runtime/*.[ch] spec/example/*.c
	$(Q)cppcheck -q --enable=warning,performance,portability --inline-suppr --std=c11 -Iengine \
		-Itests/unit '-DLIBBPF_OPTS(t,n,...)=struct t n={__VA_ARGS__}' --suppress=ctuuninitvar \
		--suppress=missingInclude $(patsubst %,-i%,$(wildcard tests/unit/*.bpf.c)) --error-exitcode=1 \
		engine tests/unit \
		tests/fuzz
	$(Q)luacheck -q lua scripts spec tests
	$(Q)sh tests/layers.sh

clean:
	rm -rf $(OUT)

-include $(C_OBJ:.o=.d)
