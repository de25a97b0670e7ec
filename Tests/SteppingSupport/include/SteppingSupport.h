// Runs the calling thread one instruction at a time, and keeps what some memory held after each change.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// Whether this processor can, in a program with no sanitizer.
bool apus_stepping_is_possible(void);

// Begins. The ranges are put one behind the other, in `kept`, once for each change, up to `limit` bytes in all. Both stay until the end.
// Returns whether the kernel allows it. One thread at a time.
bool apus_stepping_begin(const void *const *starts, const size_t *counts, size_t ranges, void *kept, size_t limit);

// Ends, and returns how many bytes were kept; more than `limit` where there was no room.
size_t apus_stepping_end(void);
