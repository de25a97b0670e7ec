// COM1, and the few functions on text and bytes that the rest needs.
#include "guest.h"
#include <stdarg.h>

#define COM1 0x3F8

void console_start(void) {
  out8(COM1 + 1, 0x00); // no interrupts
  out8(COM1 + 3, 0x80); // DLAB
  out8(COM1 + 0, 0x01); // 115200 baud
  out8(COM1 + 1, 0x00);
  out8(COM1 + 3, 0x03); // 8N1
  out8(COM1 + 2, 0x07); // FIFOs on and empty
  out8(COM1 + 4, 0x03); // DTR, RTS
}

static void put(char c) {
  if (c == '\n') put('\r');
  while (!(in8(COM1 + 5) & 0x20)) pause();
  out8(COM1, (uint8_t)c);
}

static void put_number(uint64_t value, unsigned base) {
  char digits[20];
  int count = 0;
  do {
    digits[count++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value);
  while (count) put(digits[--count]);
}

void print(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  for (; *format; format++) {
    if (*format != '%') {
      put(*format);
      continue;
    }
    switch (*++format) {
    case 's':
      for (const char *text = va_arg(arguments, const char *); *text; text++) put(*text);
      break;
    case 'u': put_number(va_arg(arguments, uint32_t), 10); break;
    case 'x': put_number(va_arg(arguments, uint32_t), 16); break;
    case 'U': put_number(va_arg(arguments, uint64_t), 10); break;
    case 'X': put_number(va_arg(arguments, uint64_t), 16); break;
    default: put('%');
    }
  }
  va_end(arguments);
}

bool text_equal(const char *left, const char *right) {
  while (*left && *left == *right) left++, right++;
  return *left == *right;
}

bool starts_with(const char *text, const char *prefix) {
  while (*prefix)
    if (*text++ != *prefix++) return false;
  return true;
}

bool bytes_equal(const void *left, const void *right, size_t count) {
  const uint8_t *l = left, *r = right;
  while (count--)
    if (*l++ != *r++) return false;
  return true;
}

void bytes_copy(void *to, const void *from, size_t count) {
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count)::"memory");
}

// The compiler may call these even in freestanding code.
void *memcpy(void *to, const void *from, size_t count) {
  bytes_copy(to, from, count);
  return to;
}

void *memset(void *to, int value, size_t count) {
  void *start = to;
  asm volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
  return start;
}
