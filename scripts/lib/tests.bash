# shellcheck shell=bash
# `swift test`, and what is left of it when it has scrolled away.

# failed_tests LOG: patterns of the tests that failed, one a line. What a thread of a test's own found wrong has no test's name: its
# file stands for it, which is named as its suite is.
failed_tests() {
  {
    sed -nE 's/^✘ Test "?([A-Za-z0-9_]+)[("].* failed after .*/\/\1\\(/p' "$1"
    sed -nE 's/^✘ Test «unknown» recorded an issue at ([A-Za-z0-9_+]+)\.swift:.*/[.]\1\//p' "$1"
  } | sort -u
}

# print_failures LOG: what failed and why, without what passed.
print_failures() {
  grep -aE -A 3 '^✘ .*(recorded an issue|failed after)|^[Ff]atal error|error: Exited|unexpected signal' "$1" |
    grep -avE '^(--|◇|✔)' | head -n 100 || true
}

# run_tests SWIFT-TEST-OPTION...: runs tests, and prints once more at the end what failed.
# Up to three failed tests are repeated by themselves: one that then passes is named as unsteady, also in the file
# APUS_TEST_UNSTEADY. It is a fault to be mended, but not the last change's. APUS_TEST_REPEAT=0 repeats nothing.
run_tests() {
  local log code=0 failed passed pattern
  log="$(mktemp)"
  ${SWIFT:-swift} test "$@" 2>&1 | tee "$log" || code=$?
  if ((code == 0)); then
    rm -f "$log"
    return 0
  fi
  mapfile -t failed < <(failed_tests "$log")
  printf '\n==> failed: %s\n' "${failed[*]:-no test by name}"
  print_failures "$log"
  if ((${#failed[@]} > 0 && ${#failed[@]} <= 3)) && [[ ${APUS_TEST_REPEAT:-1} != 0 ]]; then
    printf '\n==> repeated by themselves: %s\n' "${failed[*]}"
    pattern="$(IFS='|' && printf '%s' "${failed[*]}")"
    if ${SWIFT:-swift} test "$@" --skip-build --filter "$pattern" 2>&1 | tee "$log"; then
      passed="$(grep -acE '^✔ Test "?[A-Za-z0-9_]+[("].* passed after' "$log" || true)"
      # A filter that finds nothing passes too.
      if ((passed >= ${#failed[@]})); then code=0; fi
    fi
    if ((code == 0)); then
      printf '\n==> unsteady, passed by themselves: %s\n' "${failed[*]}"
      if [[ -n ${APUS_TEST_UNSTEADY:-} ]]; then printf '%s\n' "${failed[@]}" >>"$APUS_TEST_UNSTEADY"; fi
    else
      printf '\n==> failed again\n'
      print_failures "$log"
    fi
  fi
  rm -f "$log"
  return "$code"
}
