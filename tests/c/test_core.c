/* The C core without Python: every kernel of every instruction set that this machine has, against plain loops in double
 * precision, in buffers of exactly the size that the manual asks for. Meant to run under AddressSanitizer and
 * UndefinedBehaviorSanitizer; exits with 1 if anything differs. */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

/* Tests the tables of kernels that are named by their numbers, 0 upwards: two for each instruction set. Without any:
 * prints the numbers that there are. */
int main(int count, char **arguments) {
    for (int table = 0; count == 1 && table < 2 * fastgru_isa_count(); table++)
        printf("%d\n", table);
    for (int i = 1; i < count; i++) {
        const int table = atoi(arguments[i]);
        real = table % 2 ? FASTGRU_FLOAT64 : FASTGRU_FLOAT32;
        kernels = fastgru_kernels_at(table / 2, real);
        test_schedules();
        test_recurrent();
        test_layers();
        printf("%-10s float%d, %2d lanes: %ld checks, %ld failed\n", kernels->isa,
               (int)real_size() * 8, kernels->lanes, checks, failures);
    }
    return failures != 0;
}
