# Parley. `make` builds, `make demo` shows, `make test` proves, `make bench` measures.
#
# V=1 shows commands. CXX= picks the compiler, SAN=address,undefined or SAN=thread the sanitizers,
# BUILD= the folder (another one for each compiler), VIDEO= the demo's input and KERNEL=sim its
# kernel, PREFIX= and DESTDIR= where to install, BENCHFLAGS=, PEERFLAGS= and FILEFLAGS= what to
# hand to the measurements of Parley, of its peers and of files. `make fuzz` lets libFuzzer loose on
# FUZZ= (broker, link, bell, file, gfx) for SECONDS= (60).

VERSION := 0.1.0
, := ,
SAN     ?=
BUILD   ?= build$(if $(SAN),/san-$(subst $(,),-,$(SAN)))
PREFIX  ?= /usr/local
FUZZ    ?= broker
SECONDS ?= 60
ifeq ($(strip $(BUILD)),)
$(error BUILD= is empty: name the folder to build in)
endif

# A -j of the command line wins.
MAKEFLAGS += -j$(shell nproc)
ifneq ($(V),1)
Q := @
say = @echo "  $(1)  $(2)"
endif

# --- What is built from what
LIB_SOURCES    := $(wildcard kernel-sim/*.cc kernel-sim/*/*.cc libipc/src/*.cc \
                    servers/nameserver/*.cc)
TOOL_MAIN      := apps/parley/main.cc
SERVICE_MAIN   := apps/parleyd/main.cc
VIEW_SOURCES   := $(wildcard apps/view/*.cc)
TOOL_SOURCES   := $(filter-out $(TOOL_MAIN) $(SERVICE_MAIN) $(VIEW_SOURCES) \
                    servers/nameserver/%, \
                    $(wildcard apps/*/*.cc servers/*/*.cc))
TEST_SOURCES   := $(wildcard tests/*.cc tests/core/*.cc tests/sim/*.cc tests/host/*.cc \
                    tests/hostile/*.cc \
                    tests/libipc/*.cc tests/support/*.cc tests/conformance/*.cc \
                    tests/servers/*.cc tests/apps/*.cc)
# What Parley is measured against; `make bench` alone builds it and installs what that needs.
PEER_SOURCES   := $(wildcard tests/bench/*.cc) \
                    $(patsubst %,apps/parley/%.cc,arguments bench_rows output text)
# Files, against what needs no more than Parley itself does.
FILE_BENCH_SOURCES := $(wildcard tests/bench/files/*.cc) \
                    $(patsubst %,tests/bench/%.cc,board chart process)

objects = $(patsubst %.cc,$(BUILD)/obj/%.o,$(1))
LIB_OBJECTS  := $(call objects,$(LIB_SOURCES))
TOOL_OBJECTS := $(call objects,$(TOOL_SOURCES))
FILE_BENCH_OBJECTS := $(call objects,$(FILE_BENCH_SOURCES)) $(TOOL_OBJECTS)
# The protocol compilers' output, below a folder of its own.
GENERATED    := $(BUILD)/generated/tests/bench/echo
PEER_OBJECTS := $(call objects,$(PEER_SOURCES)) \
                  $(patsubst %,$(GENERATED).%.o,capnp.c++ pb.cc grpc.pb.cc)

# --- How
ABSEIL := absl_status absl_statusor absl_strings absl_time absl_flat_hash_map absl_flat_hash_set \
          absl_inlined_vector absl_span absl_str_format absl_hash absl_cord
# Whatever is found ends the program, so that its test fails. Not vptr: it asks by a pipe whether
# memory is there, and in a process without descriptors takes each object for a wild one.
SANITIZE = $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all \
                       -fno-sanitize=vptr)
# The tests' own code is compiled fast, what it tests (and the core's models) runs fast.
OPTIMIZE = $(if $(SAN),-O1,-O2)
$(BUILD)/obj/tests/%.o: OPTIMIZE = -O0
$(BUILD)/obj/tests/core/%.o $(BUILD)/obj/tests/bench/%.o: OPTIMIZE = $(if $(SAN),-O1,-O2)
CXXFLAGS += -std=c++20 -g1 $(OPTIMIZE) $(SANITIZE) -fPIC -Wall -Wextra -Werror -I. -Ilibipc/include
LDFLAGS  += $(if $(SAN),-fsanitize=$(SAN))
# Evaluated when first used: scripts/setup may have to install pkg-config first.
LIB_LIBS  = $(shell pkg-config --libs $(ABSEIL)) -lboost_context -luring -lcrypto -pthread
TOOL_LIBS = $(LIB_LIBS) -ltomlplusplus -lpng -lfuse3
PEER_LIBS = $(shell pkg-config --libs libzmq capnp-rpc grpc++ protobuf libsystemd $(ABSEIL)) -lnng \
            -liceoryx_posh_roudi -liceoryx_posh -liceoryx_hoofs -liceoryx_platform \
            -lboost_context -luring -lcrypto -pthread
# iceoryx's headers lie in a folder with its version in the name.
PEER_INCLUDES = $(addprefix -isystem ,$(BUILD)/generated $(wildcard /usr/include/iceoryx/*))
$(BUILD)/obj/tests/bench/%.o: CXXFLAGS += $(PEER_INCLUDES)

.PHONY: all demo test bench fuzz install format lint clean help setup setup-test setup-bench
all: $(addprefix $(BUILD)/bin/,parley parleyd parley-view) \
    $(addprefix $(BUILD)/lib/,libparley.a libparley.so)

# The common headers, once for each level of optimization.
PRECOMPILED = $(BUILD)/precompiled/headers$(OPTIMIZE).h
ALL_PRECOMPILED := $(patsubst %,$(BUILD)/precompiled/headers%.h.gch,-O0 $(OPTIMIZE))
.SECONDARY: $(ALL_PRECOMPILED)
$(BUILD)/precompiled/headers-O%.h.gch: OPTIMIZE = -O$*
$(BUILD)/precompiled/headers-O%.h.gch: scripts/precompiled.h | setup
	$(call say,CXX   ,$< at -O$*)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(CXXFLAGS) -x c++-header $< -o $@

$(BUILD)/obj/%.o: %.cc $(ALL_PRECOMPILED) | setup
	$(call say,CXX   ,$<)
	@mkdir -p $(@D)
	$(Q)$(CXX) -include $(PRECOMPILED) -Winvalid-pch $(CXXFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/lib/libparley.a: $(LIB_OBJECTS)
	$(call say,AR    ,$@)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/lib/libparley.so: $(LIB_OBJECTS)
	$(call say,LINK  ,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) -shared -Wl,-soname,libparley.so.0 $(LDFLAGS) $^ -o $@.$(VERSION) $(LIB_LIBS)
	$(Q)ln -sf libparley.so.$(VERSION) $@.0 && ln -sf libparley.so.0 $@

$(BUILD)/bin/parley: $(call objects,$(TOOL_MAIN)) $(TOOL_OBJECTS) $(BUILD)/lib/libparley.a
	$(call say,LINK  ,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) $^ -o $@ $(TOOL_LIBS)

$(BUILD)/bin/parley-view: $(call objects,$(VIEW_SOURCES)) $(TOOL_OBJECTS) $(BUILD)/lib/libparley.a
	$(call say,LINK  ,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) $^ -o $@ $(TOOL_LIBS) -lSDL2

$(BUILD)/bin/parleyd: $(call objects,$(SERVICE_MAIN)) \
    $(call objects,apps/parley/arguments.cc apps/parley/standard_output.cc) $(BUILD)/lib/libparley.a
	$(call say,LINK  ,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) $^ -o $@ $(LIB_LIBS)

$(BUILD)/bin/tests: $(call objects,$(TEST_SOURCES)) $(TOOL_OBJECTS) $(BUILD)/lib/libparley.a
	$(call say,LINK  ,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) $^ -o $@ $(TOOL_LIBS)

$(call objects,$(filter-out $(FILE_BENCH_SOURCES),$(wildcard tests/bench/*.cc))): | setup-bench
$(BUILD)/obj/tests/bench/capnp.o: $(GENERATED).capnp.h
$(BUILD)/obj/tests/bench/grpc.o: $(GENERATED).grpc.pb.h

$(GENERATED).capnp.c++ $(GENERATED).capnp.h &: tests/bench/echo.capnp | setup-bench
	$(call say,CAPNP ,$<)
	@mkdir -p $(@D)
	$(Q)capnp compile -oc++:$(BUILD)/generated $<

$(GENERATED).pb.cc $(GENERATED).pb.h $(GENERATED).grpc.pb.cc $(GENERATED).grpc.pb.h &: \
    tests/bench/echo.proto | setup-bench
	$(call say,PROTOC,$<)
	@mkdir -p $(@D)
	$(Q)protoc --plugin=protoc-gen-grpc=$$(command -v grpc_cpp_plugin) \
	  --cpp_out=$(BUILD)/generated --grpc_out=$(BUILD)/generated $<

# Not ours to keep free of warnings.
$(GENERATED).%.o: $(GENERATED).%
	$(call say,CXX   ,$<)
	$(Q)$(CXX) $(CXXFLAGS) $(PEER_INCLUDES) -w -c $< -o $@

$(BUILD)/bin/bench-peers: $(PEER_OBJECTS) $(BUILD)/lib/libparley.a
	$(call say,LINK  ,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) $^ -o $@ $(PEER_LIBS)

$(BUILD)/bin/bench-files: $(FILE_BENCH_OBJECTS) $(BUILD)/lib/libparley.a
	$(call say,LINK  ,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) $^ -o $@ $(TOOL_LIBS)

# Only for the build below $(FUZZ_BUILD).
$(BUILD)/bin/fuzz-file: $(call objects,$(wildcard servers/ramfs/*.cc))
$(BUILD)/bin/fuzz-gfx: $(call objects,$(wildcard servers/gfxd/*.cc))
$(BUILD)/bin/fuzz-%: $(BUILD)/obj/tests/fuzz/%_fuzz.o $(BUILD)/lib/libparley.a
	$(call say,LINK  ,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) -fsanitize=fuzzer $(filter %.o,$^) $(filter %.a,$^) -o $@ $(LIB_LIBS) -lpng

setup:
	@scripts/setup --quiet

# After the other, since one package manager runs at a time.
setup-test: setup
	@scripts/setup --test --quiet
setup-bench: setup
	@scripts/setup --bench --quiet

demo: $(BUILD)/bin/parley
	@scripts/demo --parley=$(BUILD)/bin/parley $(if $(VIDEO),--video='$(VIDEO)') \
	  $(if $(KERNEL),--kernel='$(KERNEL)')

# Of the tools, only the script checks have need, which sanitizers leave out.
test: $(BUILD)/bin/tests $(if $(SAN),,all) | $(if $(SAN),setup,setup-test)
	@CXX='$(CXX)' scripts/test --build=$(BUILD) $(if $(SAN),--sanitizers=$(SAN))

bench: $(BUILD)/bin/parley $(BUILD)/bin/bench-peers $(BUILD)/bin/bench-files
	@$(BUILD)/bin/parley bench $(BENCHFLAGS)
	@mkdir -p out
	@$(BUILD)/bin/bench-peers --json=out/bench.json --svg=out/bench.svg $(PEERFLAGS)
	@$(BUILD)/bin/bench-files --json=out/bench-files.json --svg=out/bench-files.svg $(FILEFLAGS)
	@echo "rows: out/bench.json, out/bench-files.json; pictures beside them: .svg"

# Everything is built once more, for clang's libFuzzer. What a run finds of use it keeps with its
# build; an input that fails lies beside, and the program takes it as its argument to repeat it.
FUZZ_BUILD := build/fuzz
fuzz: | setup
	$(Q)CXXFLAGS='-fsanitize=fuzzer-no-link -fno-sanitize-recover=undefined' $(MAKE) \
	  BUILD=$(FUZZ_BUILD) CXX=clang++ SAN=address,undefined $(FUZZ_BUILD)/bin/fuzz-$(FUZZ)
	@mkdir -p $(FUZZ_BUILD)/corpus/$(FUZZ)
	$(Q)$(FUZZ_BUILD)/bin/fuzz-$(FUZZ) -max_total_time=$(SECONDS) -max_len=1024 -timeout=10 \
	  -verbosity=0 -print_funcs=0 -artifact_prefix=$(FUZZ_BUILD)/$(FUZZ)- \
	  $(FUZZ_BUILD)/corpus/$(FUZZ) tests/fuzz/corpus/$(FUZZ) || { \
	  echo "fuzz: $(FUZZ) fails on the input named above; repeat:" \
	    "$(FUZZ_BUILD)/bin/fuzz-$(FUZZ) FILE" >&2; exit 1; }
	@echo "fuzz: $(FUZZ) has held for $(SECONDS) s"

install: all
	@scripts/install --build='$(BUILD)' --prefix='$(PREFIX)' --destdir='$(DESTDIR)' \
	  --version=$(VERSION) --requires='$(ABSEIL)'

format: | setup
	$(Q)git ls-files '*.cc' '*.h' | xargs clang-format -i

lint: | setup
	@scripts/lint

clean:
	rm -rf $(BUILD)

help:
	@sed -n '1,8s/^# \{0,1\}//p' Makefile
	@echo "Targets: all demo test bench fuzz install format lint clean"

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
