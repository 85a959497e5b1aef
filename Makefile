# GoConnect. `make` alone tells what there is.

B      ?= build
CC     := $(if $(filter default,$(origin CC)),gcc,$(CC))
PORT   ?= 8080
RUN    ?= run
NPROC  := $(shell nproc)
PREFIX ?= /usr/local

ifdef SAN
override B := $(B)/san
SAN_FLAGS  := -fsanitize=address,undefined -fno-sanitize-recover=undefined \
              -fno-omit-frame-pointer
endif

WARN    := -Wall -Wextra -Wshadow -Wconversion -Werror
CFLAGS  ?= -O2 -g
HARDEN  := $(if $(SAN),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fPIE
ALL_CFLAGS = -std=gnu11 $(CFLAGS) $(HARDEN) $(SAN_FLAGS) $(WARN) -MMD -MP \
             -Ingx_goconnect_module -Iagent
ALL_LDFLAGS = $(LDFLAGS) $(SAN_FLAGS) -pie -Wl,-z,relro,-z,now -Wl,--as-needed

AGENT_PKGS := libwebsockets jansson libnl-3.0 libnl-route-3.0 libnl-genl-3.0 \
              libmnl libnftables libcrypto libqrencode miniupnpc
# Library headers are system headers: warnings are for our own files.
PKG_CFLAGS  = $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(AGENT_PKGS)))
AGENT_LIBS  = $(shell pkg-config --libs $(AGENT_PKGS)) -lpthread
UNIT_LIBS   = -lcriterion -ljansson -ljwt -lcrypto -lcrypt -lpthread

CORE_SRC  := $(wildcard ngx_goconnect_module/core/*.c)
PLAN_SRC  := $(wildcard agent/plan/*.c)
MAINS     := agent/daemon/goconnectd.c agent/client/goconnect.c
NSS_SRC   := $(wildcard agent/nss/*.c)
AGENT_SRC := $(filter-out $(MAINS) $(NSS_SRC),$(wildcard agent/*/*.c)) $(CORE_SRC)
UNIT_SRC  := $(wildcard t/unit/*.c)
obj        = $(patsubst %.c,$(B)/obj/%.o,$(1))
UNITS     := $(patsubst t/unit/%.c,$(B)/unit/%,$(UNIT_SRC))
AGENT     := $(B)/goconnectd $(B)/goconnect $(B)/libnss_goconnect.so.2 \
             $(B)/drivers/backend $(B)/drivers/netmap $(B)/drivers/borrowed \
             $(B)/drivers/boottime.so $(B)/drivers/fault.so \
             $(B)/drivers/memory.so
C_FILES    = $(shell find ngx_goconnect_module agent t -name '*.[ch]')

.DEFAULT_GOAL := help
.PHONY: help deps deps-build deps-unit module echo agent html unit build run test \
        soak demo seed bench format install uninstall clean portable
.DELETE_ON_ERROR:

help: ## show this list
	@echo 'GoConnect: a virtual LAN with a community around it.'
	@echo
	@echo 'To try it:        make run        then open http://localhost:$(PORT)'
	@echo 'To check it:      make test'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | \
	    awk -F'|' '{ printf "%-18s%s\n", $$1, $$2 }'
	@echo
	@echo 'PORT=8080 RUN=run  where `make run` and `make demo` listen and keep their data'
	@echo 'SUITE="http ws"    only these suites in `make test`; SAN=1 under sanitizers'
	@echo 'Missing Debian packages are installed as needed (root or sudo).'

deps: ## install every Debian package that building, running and testing need
	@scripts/deps build run html test unit lint agent kernel browser bench

deps-build:
	@scripts/deps build

deps-unit:
	@scripts/deps build unit

# Headers of libraries that are not Windows' own are the same there.
WIN    := $(B)/windows
WIN_CC := x86_64-w64-mingw32-gcc -std=gnu11 -O2 -Wall -Wextra -Werror \
          -Wno-format -Wno-format-extra-args -Wno-sign-compare \
          -DWIN32_LEAN_AND_MEAN -D_WIN32_WINNT=0x0600 -Ingx_goconnect_module -Iagent \
          -isystem $(WIN)/include
MULTIARCH = /usr/include/$(shell $(CC) -print-multiarch)

portable: deps-build ## compile core and plan for Windows (compile only)
	@scripts/deps portable
	@mkdir -p $(WIN)/include/openssl
	@cp $(wildcard /usr/include/jansson*.h $(MULTIARCH)/jansson*.h) \
	    $(WIN)/include
	@cp $(wildcard /usr/include/openssl/*.h $(MULTIARCH)/openssl/*.h) \
	    $(WIN)/include/openssl
	@for f in $(CORE_SRC) $(PLAN_SRC); do \
	    echo "  WIN  $$f"; \
	    $(WIN_CC) -c "$$f" -o $(WIN)/object.o || exit 1; \
	done

module: deps-build ## build the nginx module
	@mkdir -p $(B)
	@CC='$(CC)' EXTRA_CFLAGS='$(SAN_FLAGS) $(if $(SAN),-U_FORTIFY_SOURCE)' \
	    MODULE_CFLAGS='$(if $(SAN),-include $(CURDIR)/t/lib/san/pools.h)' \
	    EXTRA_LDFLAGS='$(SAN_FLAGS)' scripts/module $(B)/nginx

# The tests' echo server over the module's WebSocket layer.
echo: deps-build
	@mkdir -p $(B)
	@CC='$(CC)' EXTRA_CFLAGS='$(SAN_FLAGS) $(if $(SAN),-U_FORTIFY_SOURCE)' \
	    MODULE_CFLAGS='$(if $(SAN),-include $(CURDIR)/t/lib/san/pools.h)' \
	    EXTRA_LDFLAGS='$(SAN_FLAGS)' scripts/module $(B)/echo t/ws/echo

agent: deps-build ## build goconnectd and goconnect
	@$(MAKE) -s --no-print-directory -j$(NPROC) $(AGENT)

unit: deps-unit ## build the unit tests
	@$(MAKE) -s --no-print-directory -j$(NPROC) $(UNITS)

html: ## fetch the dashboard's libraries from npm
	@scripts/deps html
	@html/vendor

build: module agent html ## build all that runs

run: ## start a whole GoConnect here, until Ctrl-C
	@PORT='$(PORT)' RUN='$(RUN)' exec scripts/run

demo: ## show two devices on one LAN, in network namespaces (root)
	@PORT='$(PORT)' RUN='$(RUN)' ONCE='$(ONCE)' exec scripts/demo

test: ## run all suites, or SUITE="name ..."
	@SUITE='$(SUITE)' SAN='$(SAN)' VALGRIND='$(VALGRIND)' FULL='$(FULL)' exec t/run

soak: ## break nodes, database and connections under load, in full; SEED=N again
	@SUITE='soak cluster' FILE='$(FILE)' SEED='$(SEED)' FULL=1 exec t/run

seed: ## fill the database of a running `make run`; SCALE=1 is a million messages
	@SCALE='$(SCALE)' RUN='$(RUN)' DATABASE='$(DATABASE)' exec scripts/seed

bench: ## measure, side by side with pgbench, nchan, Nebula, tinc, coturn and wg
	@exec t/bench/run

format: ## put every C file into the house's format
	@scripts/deps lint
	@clang-format -i $(C_FILES)

install: ## install below PREFIX (DESTDIR is heeded); does not start anything
	@B='$(B)' PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/install

uninstall: ## take away what `make install` put; settings and state stay but for PURGE=1
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' PURGE='$(PURGE)' scripts/install remove

clean: ## remove what was built; data under RUN stays
	rm -rf build

$(B)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo '  CC   $<'
	@$(CC) $(ALL_CFLAGS) $(PKG_CFLAGS) -c -o $@ $<

$(B)/obj/agent/daemon/local_page.o: $(wildcard agent/daemon/page/*)

$(B)/libagent.a: $(call obj,$(AGENT_SRC))
	@rm -f $@
	@ar rcs $@ $^

$(B)/libpure.a: $(call obj,$(CORE_SRC) $(PLAN_SRC))
	@rm -f $@
	@ar rcs $@ $^

$(B)/goconnectd: $(call obj,agent/daemon/goconnectd.c) $(B)/libagent.a
	@echo '  LINK $@'
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(AGENT_LIBS)

$(B)/goconnect: $(call obj,agent/client/goconnect.c) $(B)/libagent.a
	@echo '  LINK $@'
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(AGENT_LIBS)

# Loaded into every program that looks up a name: no sanitizer in there.
$(B)/libnss_goconnect.so.2: $(NSS_SRC) Makefile
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(CC) -std=gnu11 $(CFLAGS) -D_FORTIFY_SOURCE=2 -fstack-protector-strong \
	    -fPIC $(WARN) -shared -Wl,-soname,$(@F) -Wl,-z,relro,-z,now \
	    -Wl,-z,defs -Wl,-z,nodelete -o $@ $(NSS_SRC)

# Programs by which suites drive parts of the agent.
$(B)/drivers/%.so: t/drivers/%.c
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(CC) $(CFLAGS) -fPIC -shared -o $@ $< -ldl

$(B)/drivers/%: $(B)/obj/t/drivers/%.o $(B)/libagent.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(AGENT_LIBS)

# What `make bench` measures the agent's own code with.
$(B)/bench/apply: $(B)/obj/t/bench/apply.o $(B)/libagent.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(AGENT_LIBS)

# What sends through relays.
$(B)/bench/blast: $(B)/obj/t/bench/blast.o
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ -lpthread

# The load client of `make bench`.
$(B)/bench/load: $(call obj,$(wildcard t/bench/load/*.c)) $(B)/libpure.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ -lssl -lcrypto

$(B)/unit/nsswitch: $(call obj,agent/base/nsswitch.c)

$(B)/unit/%: $(B)/obj/t/unit/%.o $(B)/libpure.a
	@mkdir -p $(@D)
	@echo '  LINK $@'
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(UNIT_LIBS)

.SECONDARY:
-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
