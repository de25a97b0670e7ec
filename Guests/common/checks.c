// What is checked, and the words of the command line.
#include "guest.h"

unsigned failures;

void check(bool holds, const char *what) {
  print("%s %s\n", holds ? "ok  " : "FAIL", what);
  if (!holds) failures++;
}

const char *argument(const char *name) {
  for (const char *text = command_line; *text; text++) {
    bool at_start = text == command_line || text[-1] == ' ';
    if (!at_start || !starts_with(text, name)) continue;
    const char *rest = text;
    for (const char *n = name; *n; n++) rest++;
    if (*rest == '=') return rest + 1;
  }
  return NULL;
}

bool argument_is(const char *name, const char *value) {
  const char *text = argument(name);
  if (!text || !starts_with(text, value)) return false;
  while (*value) value++, text++;
  return *text == 0 || *text == ' ';
}

bool has_word(const char *word) {
  for (const char *text = command_line; *text; text++) {
    bool at_start = text == command_line || text[-1] == ' ';
    if (!at_start || !starts_with(text, word)) continue;
    const char *rest = text;
    for (const char *w = word; *w; w++) rest++;
    if (*rest == 0 || *rest == ' ') return true;
  }
  return false;
}

uint64_t number(const char *text) {
  uint64_t value = 0;
  while (*text >= '0' && *text <= '9') value = value * 10 + (uint64_t)(*text++ - '0');
  return value;
}

void finish(void) {
  if (failures)
    print("FAILED %u\n", failures);
  else
    print("PASSED\n");
  exit_with(failures ? 1 : 0);
}
