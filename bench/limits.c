/* The machine's vector peak, in multiply-adds a second, and bytes read a second by size of what is read.
 * Matrix tiles (AMX) are not measured; they may be faster.
 *
 *     cc -O3 -march=native -pthread limits.c -o limits && ./limits CORES BYTES...
 *
 * One thread runs on each of CORES (0,1,...), each on its share of BYTES. Prints a line each:
 * "peak FLOP/s", then "BYTES bytes/s" for each size, the best of several tries. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined __AVX512F__
enum { LANES = 16 };
#elif defined __AVX__
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
typedef float vector __attribute__((vector_size(LANES * sizeof(float))));

/* Keeps the compiler from merging what looks equal. */
#ifdef __aarch64__
#define KEEP(v) __asm__("" : "+w"(v))
#else
#define KEEP(v) __asm__("" : "+v"(v))
#endif

enum { CHAINS = 12, MAX_THREADS = 64, TRIES = 5 };
static const double TRY_SECONDS = 0.004;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Chains of independent multiply-adds in registers. Returns how many FLOPs were done. */
static double multiply_add(long rounds, volatile float *sink) {
    volatile float start = 1e-3f; /* unknown to the compiler */
    vector a, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11;
    for (int l = 0; l < LANES; l++) a[l] = start;
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = s9 = s10 = s11 = a;
    for (long i = 0; i < rounds; i++) {
        s0 = s0 * a + s0, s1 = s1 * a + s1, s2 = s2 * a + s2, s3 = s3 * a + s3;
        s4 = s4 * a + s4, s5 = s5 * a + s5, s6 = s6 * a + s6, s7 = s7 * a + s7;
        s8 = s8 * a + s8, s9 = s9 * a + s9, s10 = s10 * a + s10, s11 = s11 * a + s11;
        KEEP(s0);
        KEEP(s1);
        KEEP(s2);
        KEEP(s3);
        KEEP(s4);
        KEEP(s5);
        KEEP(s6);
        KEEP(s7);
        KEEP(s8);
        KEEP(s9);
        KEEP(s10);
        KEEP(s11);
    }
    s0 += s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + s10 + s11;
    *sink += s0[0];
    return (double)rounds * CHAINS * LANES * 2;
}

/* Read all of a buffer with one multiply-add a vector. Returns how many bytes were read. */
static double read_all(const float *data, size_t bytes, volatile float *sink) {
    vector sum[CHAINS] = {0}, a;
    for (int l = 0; l < LANES; l++) a[l] = 0.5f;
    size_t vectors = bytes / sizeof(vector) / CHAINS * CHAINS;
    const vector *v = (const vector *)data;
    for (size_t i = 0; i < vectors; i += CHAINS)
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++) sum[c] += v[i + (size_t)c] * a;
    for (int c = 0; c < CHAINS; c++) *sink += sum[c][0];
    return (double)(vectors * sizeof(vector));
}

typedef struct {
    int core;
    size_t bytes; /* 0: multiply_add */
    pthread_barrier_t *start;
    double rate;
} job;

static void *run(void *argument) {
    job *j = argument;
    volatile float sink = 0;
#ifdef __linux__
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(j->core, &set);
    sched_setaffinity(0, sizeof set, &set);
#endif
    float *data = NULL;
    if (j->bytes) {
        if (posix_memalign((void **)&data, 64, j->bytes)) exit(1);
        for (size_t i = 0; i < j->bytes / sizeof(float); i++) data[i] = 1e-3f;
        read_all(data, j->bytes, &sink);
    }
    for (int k = 0; k < TRIES; k++) {
        double done = 0;
        pthread_barrier_wait(j->start);
        double start = now(), elapsed;
        do {
            done += j->bytes ? read_all(data, j->bytes, &sink) : multiply_add(20000, &sink);
            elapsed = now() - start;
        } while (elapsed < TRY_SECONDS);
        if (done / elapsed > j->rate) j->rate = done / elapsed;
    }
    free(data);
    return NULL;
}

static double measure(int threads, const int *cores, size_t bytes) {
    pthread_t ids[MAX_THREADS];
    job jobs[MAX_THREADS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (int t = 0; t < threads; t++) {
        jobs[t] = (job){cores[t], bytes / (size_t)threads, &start, 0};
        pthread_create(&ids[t], NULL, run, &jobs[t]);
    }
    double rate = 0;
    for (int t = 0; t < threads; t++) {
        pthread_join(ids[t], NULL);
        rate += jobs[t].rate;
    }
    return rate;
}

int main(int count, char **arguments) {
    int threads = 0, cores[MAX_THREADS];
    if (count < 2) return fprintf(stderr, "usage: limits CORES BYTES...\n"), 2;
    for (char *c = strtok(arguments[1], ","); c && threads < MAX_THREADS; c = strtok(NULL, ","))
        cores[threads++] = atoi(c);
    printf("peak %.6g\n", measure(threads, cores, 0));
    for (int i = 2; i < count; i++)
        printf("%s %.6g\n", arguments[i],
               measure(threads, cores, strtoull(arguments[i], NULL, 10)));
    return 0;
}
