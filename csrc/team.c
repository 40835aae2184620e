/* The pool of threads behind fastgru_run_team: started by the first call that wants it, parked when idle for a while,
 * started anew after a fork. */
#include "team.h"

#ifdef _WIN32

void fastgru_run_team(int wanted, fastgru_task *task, void *context) {
    (void)wanted;
    task(context, 0, 1);
}

void fastgru_wait(fastgru_barrier *barrier, int members) {
    (void)barrier;
    (void)members;
}

#else

#include <pthread.h>
#include <sched.h>
#include <stdint.h>

enum {
    MOST_MEMBERS = 64,
    SPINS = 2000, /* some tens of microseconds, about the time between two calls in a loop */
    SPINS_AT_BARRIER = 200 /* before giving the processor to whoever else wants it */
};

/* The job at hand is one word, number << 8 | members: whoever reads it knows at once whether it is a member. The task
 * and its context stay until the last member has reported, so members, and they alone, may read them. */
static struct {
    pthread_mutex_t lock; /* guards parking */
    pthread_cond_t wake;
    int busy;    /* whoever has set it has the pool to itself */
    int workers; /* read and changed by that one alone */
    uint64_t job;
    fastgru_task *task;
    void *context;
    int working;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static inline void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint64_t current_job(void) { return __atomic_load_n(&pool.job, __ATOMIC_ACQUIRE); }

static uint64_t next_job(uint64_t seen) {
    for (int i = 0; i < SPINS; i++) {
        if (current_job() != seen) return current_job();
        pause_briefly();
    }
    pthread_mutex_lock(&pool.lock);
    while (current_job() == seen) pthread_cond_wait(&pool.wake, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
    return current_job();
}

static void *work(void *argument) {
    const int member = (int)(intptr_t)argument;
    for (uint64_t job = 0;;) {
        job = next_job(job);
        const int members = (int)(job & 0xff);
        if (member >= members) continue;
        pool.task(pool.context, member, members);
        __atomic_sub_fetch(&pool.working, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* In a forked child there are no workers, whatever the parent was doing. */
static void forget_workers(void) {
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
    pool.workers = pool.busy = pool.working = 0;
    pool.job = 0;
}

/* Returns how many workers there are, after trying to have as many as wanted. */
static int start_workers(int wanted) {
    static int registered;
    if (!registered) registered = pthread_atfork(NULL, NULL, forget_workers) == 0;
    while (registered && pool.workers < wanted) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, (void *)(intptr_t)(pool.workers + 1)) != 0) break;
        pthread_detach(thread);
        pool.workers++;
    }
    return pool.workers;
}

void fastgru_run_team(int wanted, fastgru_task *task, void *context) {
    if (wanted > MOST_MEMBERS) wanted = MOST_MEMBERS;
    if (wanted <= 1 || __atomic_exchange_n(&pool.busy, 1, __ATOMIC_ACQUIRE)) {
        task(context, 0, 1);
        return;
    }
    const int workers = pool.workers >= wanted - 1 ? pool.workers : start_workers(wanted - 1);
    const int members = workers < wanted - 1 ? workers + 1 : wanted;
    pool.task = task;
    pool.context = context;
    __atomic_store_n(&pool.working, members - 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&pool.lock);
    __atomic_store_n(&pool.job, ((pool.job >> 8) + 1) << 8 | (unsigned)members, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.lock);
    task(context, 0, members);
    for (int i = 0; __atomic_load_n(&pool.working, __ATOMIC_ACQUIRE) > 0; i++) {
        if (i < SPINS_AT_BARRIER) pause_briefly();
        else sched_yield();
    }
    __atomic_store_n(&pool.busy, 0, __ATOMIC_RELEASE);
}

void fastgru_wait(fastgru_barrier *barrier, int members) {
    if (members == 1) return;
    const unsigned phase = __atomic_load_n(&barrier->phase, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&barrier->arrived, 1, __ATOMIC_ACQ_REL) == members) {
        __atomic_store_n(&barrier->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&barrier->phase, phase + 1, __ATOMIC_RELEASE);
        return;
    }
    for (int i = 0; __atomic_load_n(&barrier->phase, __ATOMIC_ACQUIRE) == phase; i++) {
        if (i < SPINS_AT_BARRIER) pause_briefly();
        else sched_yield();
    }
}

#endif
