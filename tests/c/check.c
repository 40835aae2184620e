#include "check.h"

#include <stdio.h>

const fastgru_kernels *kernels;
fastgru_real real;
long checks, failures;
char case_name[400];

size_t real_size(void) { return real == FASTGRU_FLOAT32 ? sizeof(float) : sizeof(double); }

double get(const void *a, ptrdiff_t i) {
    return real == FASTGRU_FLOAT32 ? (double)((const float *)a)[i] : ((const double *)a)[i];
}

void set(void *a, ptrdiff_t i, double value) {
    if (real == FASTGRU_FLOAT32) ((float *)a)[i] = (float)value;
    else ((double *)a)[i] = value;
}

void *at(const void *a, ptrdiff_t i) { return a ? (char *)a + i * (ptrdiff_t)real_size() : NULL; }

void *buffer(size_t count) {
    const size_t bytes = count * real_size();
    void *a = malloc(bytes ? bytes : 1);
    if (!a) exit(2);
    memset(a, 0xff, bytes);
    return a;
}

array new_array(size_t count) {
    array a = {count, malloc((count + 1) * sizeof(double)), buffer(count)};
    if (!a.numbers) exit(2);
    for (size_t i = 0; i < count; i++) a.numbers[i] = NAN;
    return a;
}

void put(array *a, ptrdiff_t i, double value) {
    set(a->data, i, value);
    a->numbers[i] = get(a->data, i);
}

array drawn(size_t count, double scale) {
    array a = new_array(count);
    for (size_t i = 0; i < count; i++) put(&a, (ptrdiff_t)i, scale * draw());
    return a;
}

array copy_of(const array *a, ptrdiff_t first, size_t count) {
    if (!a->data) return (array){0};
    array copy = new_array(count);
    for (size_t i = 0; i < count; i++) put(&copy, (ptrdiff_t)i, a->numbers[first + (ptrdiff_t)i]);
    return copy;
}

void release(array *a) {
    free(a->numbers), free(a->data);
    *a = (array){0};
}

static unsigned long long random_state;
void seed(unsigned long long value) { random_state = value; }

static unsigned draw_bits(void) {
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(random_state >> 33);
}
double draw(void) { return draw_bits() / (double)(1u << 30) - 1; }
int draw_below(int count) { return (int)(draw_bits() % (unsigned)count); }

void check(int right, const char *what, double got, double expected) {
    checks++;
    if (right) return;
    if (failures++ < 20)
        fprintf(stderr, "%s float%d: %s: %s: got %.17g, expected %.17g\n", kernels->isa,
                (int)real_size() * 8, case_name, what, got, expected);
}

void check_close(const char *what, double got, double expected, double scale) {
    const double unit = real == FASTGRU_FLOAT32 ? 1e-6 : 1e-14;
    const int close = fabs(got - expected) <= unit * scale * (1 + fabs(expected));
    check(isnan(expected) ? isnan(got) : close, what, got, expected);
}

void check_all_close(const char *what, const void *got, const double *expected, size_t count,
                     double scale) {
    for (size_t i = 0; i < count; i++)
        check_close(what, get(got, (ptrdiff_t)i), expected[i], scale);
}

void check_same_bits(const char *what, const void *got, const void *expected, size_t count) {
    for (ptrdiff_t i = 0; i < (ptrdiff_t)count; i++) {
        if (memcmp(at(got, i), at(expected, i), real_size()) == 0) continue;
        check(0, what, get(got, i), get(expected, i));
        return;
    }
    checks++;
}
