// What a device's process would try if somebody else had taken it over.
#pragma once

// Whether the program was built with a sanitizer, whose own system calls are on no list.
int taken_over_is_sanitized(void);
// How many attempts there are, and what they are called.
int taken_over_count(void);
const char *taken_over_name(int index);
// Makes the attempt of that name, with the number of a process outside. Returns what its system call does: -1 with errno, or
// what it was after.
long taken_over_try(const char *name, int process);
