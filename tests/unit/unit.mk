# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# unit.mk - builds the unit tests, from run.sh: each against the engine's objects as they are
# shipped, and once more with everything of ours under the address and UB sanitizers.

OUT   := .output
UNIT  := $(OUT)/unit
ASAN  := $(UNIT)/asan
CC    ?= gcc
CLANG ?= clang

SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
FLAGS := -std=gnu11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Wshadow -Werror -MMD -MP \
         -Iengine -Itests/unit -I$(OUT) $(shell pkg-config --cflags lua5.4)
LIBS  := -Wl,--export-dynamic-symbol='lua*' -Wl,--wrap=getaddrinfo -Wl,-Bstatic -lpcap -lbpf -lelf -lz -ledit -lbsd -l:liblua5.4.a -l:liblua5.4-cjson.a \
         -Wl,-Bdynamic -lm -ldl -lpthread
# test_oom makes each of our own allocations fail in turn.
WRAP   = $(if $(filter test_oom,$(@F)),-Wl$(comma)--wrap=malloc$(comma)--wrap=calloc$(comma)--wrap=realloc)
comma := ,

TESTS  := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
ENGINE := $(patsubst engine/%.c,%.o,$(filter-out engine/main.c,$(wildcard engine/*.c)))
OTHERS := $(OUT)/skels.o $(OUT)/embedded.o
ARCH   := $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')

all: $(TESTS:%=$(UNIT)/%) $(TESTS:%=$(ASAN)/%) $(patsubst tests/unit/%.c,$(UNIT)/%.o,$(wildcard tests/unit/*.bpf.c))

# An archive: the commands, which belong to main.c, stay out unless something asks for them.
$(UNIT)/engine.a: $(ENGINE:%=$(OUT)/engine/%) $(OTHERS)
$(ASAN)/engine.a: $(ENGINE:%=$(ASAN)/%) $(OTHERS)
%/engine.a:
	@mkdir -p $(@D)
	@rm -f $@
	@ar rcs $@ $^

$(ASAN)/%.o: engine/%.c tests/unit/unit.mk
	@mkdir -p $(@D)
	@$(CC) $(FLAGS) $(SANITIZE) -c -o $@ $<

$(ASAN)/test_%: tests/unit/test_%.c $(ASAN)/engine.a tests/unit/unit.mk
	@$(CC) $(FLAGS) $(SANITIZE) -o $@ $< $(ASAN)/engine.a $(LIBS) $(WRAP)

$(UNIT)/test_%: tests/unit/test_%.c $(UNIT)/engine.a tests/unit/unit.mk
	@$(CC) $(FLAGS) -o $@ $< $(UNIT)/engine.a $(LIBS) $(WRAP)

$(UNIT)/%.bpf.o: tests/unit/%.bpf.c $(wildcard bpf/*.h) tests/unit/unit.mk
	@mkdir -p $(@D)
	@$(CLANG) -g -O2 -mcpu=v2 -target bpf -D__TARGET_ARCH_$(ARCH) -fms-extensions -Wall \
		-Wno-microsoft-anon-tag -Ibpf -c -o $@ $<

.PRECIOUS: $(ASAN)/%.o
.DELETE_ON_ERROR:

-include $(wildcard $(UNIT)/*.d $(ASAN)/*.d)
