/* The C core without Python: every kernel of every instruction set that this machine has, against plain loops in double
 * precision, in buffers of exactly the size that the manual asks for. Meant to run under AddressSanitizer and
 * UndefinedBehaviorSanitizer; exits with 1 if anything differs. */
#include <stdio.h>

#include "check.h"

int main(void) {
    test_schedules();
    for (int i = 0; i < fastgru_isa_count(); i++) {
        for (real = FASTGRU_FLOAT32; real <= FASTGRU_FLOAT64; real++) {
            kernels = fastgru_kernels_at(i, real);
            const long before = checks;
            test_recurrent();
            test_layers();
            printf("%-10s float%d, %2d lanes: %ld checks\n", kernels->isa, (int)real_size() * 8,
                   kernels->lanes, checks - before);
        }
    }
    printf("%ld passed, %ld failed\n", checks - failures, failures);
    return failures != 0;
}
