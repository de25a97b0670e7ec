// The pair of 8259As, as the programs of the PC set it up.
#pragma once
#include "interrupts.h"

enum { FIRST = 0x20, SECOND = 0xA0, PIC_VECTOR = 0x20, AUTO_END = 3, USUAL = 1 };

// Initialises both with everything masked and takes their interrupt at LINT0.
void pic_start(uint8_t last_word);
// Ends it: masked, and LINT0 too.
void pic_stop(void);
void pic_unmask(uint16_t lines); // these lines and the cascade, and no others
void pic_set_level(uint16_t lines); // in the ELCR; none after pic_start
uint8_t pic_in_service(uint16_t chip);
uint8_t pic_requests(uint16_t chip);
void pic_end(uint32_t vector);   // a handler: non-specific ends
void pic_lower_and_end(uint32_t vector);
