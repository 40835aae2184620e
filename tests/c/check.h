/* What all tests of the C core share: the kernels at hand, arrays of their real type, checks. */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fastgru.h"

extern const fastgru_kernels *kernels;
extern fastgru_real real;
extern long checks, failures;

/* Said of each failure, if there is one: what is being tested. */
extern char case_name[400];

/* ---- arrays of the real type at hand; malloc'ed with exactly the size asked for, so that AddressSanitizer sees
 * what is beyond ---- */

size_t real_size(void);
double get(const void *a, ptrdiff_t i);
void set(void *a, ptrdiff_t i, double value);
void *at(const void *a, ptrdiff_t i); /* the i-th element's address; NULL of NULL */
void *buffer(size_t count);           /* NaNs: what is read before it is written shows */

/* The same numbers twice: exact in double precision, and as the library takes them. Absent where data is NULL. */
typedef struct {
    size_t count;
    double *numbers;
    void *data;
} array;

array new_array(size_t count); /* NaNs */
void put(array *, ptrdiff_t i, double value);
array drawn(size_t count, double scale);
array copy_of(const array *, ptrdiff_t first, size_t count); /* absent of absent */
void release(array *);

double draw(void); /* in [-1, 1) */
int draw_below(int count);
void seed(unsigned long long);

/* ---- checks ---- */

void check(int right, const char *what, double got, double expected);

/* Within some units of rounding of 1 + |expected|, times the scale; a NaN is expected to be one. */
void check_close(const char *what, double got, double expected, double scale);
void check_all_close(const char *what, const void *got, const double *expected, size_t count,
                     double scale);
void check_same_bits(const char *what, const void *got, const void *expected, size_t count);

/* ---- the tests, for the kernels at hand ---- */

void test_recurrent(void);
void test_schedules(void);
void test_layers(void);

#endif
