// Tasks on several threads: those of an OpenMP library that the process has already (torch's), else our own.

#pragma once

#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

namespace jnlp {

using Team = void (*)(void (*)(void*), void*, unsigned, unsigned);  // GOMP_parallel of libgomp
inline std::atomic<Team> team{nullptr};

// Threads that wait for work. A process has one pool; a forked child makes its own.
class Pool {
   public:
    static Pool& of_process() {
        static std::atomic<Pool*> pool{nullptr};
        static std::mutex making;
        Pool* found = pool.load(std::memory_order_acquire);
        if (found == nullptr || found->process_ != getpid()) {
            const std::lock_guard<std::mutex> lock(making);
            found = pool.load();
            if (found == nullptr || found->process_ != getpid()) pool.store(found = new Pool, std::memory_order_release);
        }
        return *found;
    }

    // Run `work(data)` on `threads` threads, the caller's among them; returns when all are done.
    void run(void (*work)(void*), void* data, int threads) {
        const std::lock_guard<std::mutex> one(busy_);
        {
            const std::lock_guard<std::mutex> lock(state_);
            while (count_ < threads - 1) {
                std::thread(&Pool::wait, this, count_++, round_).detach();
            }
            work_ = work;
            data_ = data;
            wanted_ = running_ = threads - 1;
            ++round_;
        }
        start_.notify_all();
        work(data);
        std::unique_lock<std::mutex> lock(state_);
        done_.wait(lock, [this] { return running_ == 0; });
    }

   private:
    void wait(int number, uint64_t round) {
        std::unique_lock<std::mutex> lock(state_);
        for (;;) {
            start_.wait(lock, [&] { return round_ != round; });
            round = round_;
            if (number >= wanted_) continue;
            lock.unlock();
            work_(data_);
            lock.lock();
            if (--running_ == 0) done_.notify_one();
        }
    }

    const pid_t process_ = getpid();
    std::mutex busy_, state_;
    std::condition_variable start_, done_;
    void (*work_)(void*) = nullptr;
    void* data_ = nullptr;
    int count_ = 0, wanted_ = 0, running_ = 0;
    uint64_t round_ = 0;
};

// Call `task(n)` for each n of [0, tasks) once, on up to `threads` threads.
template <class Task>
void parallel(int64_t tasks, int threads, const Task& task) {
    struct Shared {
        const Task& task;
        const int64_t tasks;
        std::atomic<int64_t> next{0};
    } shared{task, tasks, {0}};
    const auto work = [](void* data) {
        auto& mine = *static_cast<Shared*>(data);
        for (int64_t n; (n = mine.next.fetch_add(1, std::memory_order_relaxed)) < mine.tasks;) mine.task(n);
    };
    threads = static_cast<int>(std::min<int64_t>(threads, tasks));
    if (threads <= 1) return work(&shared);
    if (const Team openmp = team.load()) return openmp(work, &shared, threads, 0);
    Pool::of_process().run(work, &shared, threads);
}

// Take the threads of an OpenMP library; returns 0, or 1 if it is not one.
inline int use_openmp(const char* path) {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void* found = library == nullptr ? nullptr : dlsym(library, "GOMP_parallel");
    if (found == nullptr) return 1;
    team.store(reinterpret_cast<Team>(found));
    return 0;
}

}  // namespace jnlp
