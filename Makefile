# The front door: `make run` boots a Debian guest, `make test` runs every test. `make help` lists the rest.
SWIFT ?= swift
# Static, and without what nothing calls: one file that starts in a few milliseconds, in the emulated host too.
RELEASE = -c release --product apus --static-swift-stdlib --disable-local-rpath -Xlinker --gc-sections

.DEFAULT_GOAL := help
.PHONY: help setup peers build guests run test lint format bench clean clean-cache

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  make run  takes CPUS=2 MEMORY=512M APPEND=quiet KERNEL=FILE DISK=FILE ACCEL=kvm|emulated"
	@echo "  make test takes FILTER=REGEX"

setup: ## install missing Debian packages, unpack the guest's kernel, make its disk
	@scripts/setup

peers:
	@scripts/setup --tests

build: ## build the release binary, .build/release/apus
	@echo "apus: building in release mode" >&2
	@$(SWIFT) build $(RELEASE)

guests:
	@if [ -f Guests/Makefile ]; then $(MAKE) --silent -C Guests; fi

run: setup build ## boot a Debian guest, show its root disk, and in a terminal give its shell
	@scripts/run

test: peers build guests ## run the whole suite
	@SWIFT="$(SWIFT)" scripts/test $(if $(FILTER),--filter '$(FILTER)')

lint: ## check format, file lengths, imports and shell scripts
	@SWIFT="$(SWIFT)" scripts/lint

format: ## bring the Swift sources into the project's format
	@$(SWIFT) format --in-place --recursive --parallel Sources Tests $(wildcard Benchmarks Examples Fuzz)

bench: setup build ## run every benchmark, each beside its peer
	@SWIFT="$(SWIFT)" scripts/bench

clean: ## remove what was built here
	rm -rf .build Guests/build

clean-cache: ## remove the unpacked kernels, the guest and the emulated host
	@scripts/setup --clean
