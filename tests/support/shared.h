// What a test and the processes of its world share, on every kernel: memory that is made before the
// run and survives the fork of each process, whatever user it then runs as.
//
// A test makes these as locals and its programs capture them by reference; every other local that a
// program captures is, on the host kernel, a copy of its own.
#ifndef PARLEY_TESTS_SUPPORT_SHARED_H_
#define PARLEY_TESTS_SUPPORT_SHARED_H_

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>

namespace tests {

// A T in memory that processes forked from this one share with it.
template <typename T>
class InSharedMemory {
 public:
  InSharedMemory() {
    void* memory = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        /*fd=*/-1, /*offset=*/0);
    if (memory == MAP_FAILED) std::abort();
    value_ = new (memory) T();
  }
  InSharedMemory(const InSharedMemory&) = delete;
  InSharedMemory& operator=(const InSharedMemory&) = delete;
  ~InSharedMemory() { munmap(value_, sizeof(T)); }

  T* operator->() const { return value_; }
  T& operator*() const { return *value_; }

 private:
  T* value_;
};

// A flag or a number, each access atomic.
template <typename T>
class Shared {
 public:
  static_assert(std::atomic<T>::is_always_lock_free, "a lock would be each process's own");

  explicit Shared(T value = T{}) { *value_ = value; }

  operator T() const { return value_->load(); }
  T operator=(T value) {
    value_->store(value);
    return value;
  }
  T operator++() { return value_->fetch_add(1) + 1; }
  T operator--() { return value_->fetch_sub(1) - 1; }

 private:
  InSharedMemory<std::atomic<T>> value_;
};

// Letters in the order in which they were added, by any thread of any process; 256 at most. To be
// read when those who add have been waited for.
class SharedText {
 public:
  void Add(char letter) {
    const size_t at = text_->used.fetch_add(1);
    if (at < text_->letters.size()) text_->letters[at] = letter;
  }
  std::string text() const {
    const size_t used = text_->used.load();
    return used <= text_->letters.size() ? std::string(text_->letters.data(), used)
                                         : std::string("more than it can hold");
  }

 private:
  struct Text {
    std::atomic<size_t> used = 0;
    std::array<char, 256> letters = {};
  };
  InSharedMemory<Text> text_;
};

}  // namespace tests

#endif  // PARLEY_TESTS_SUPPORT_SHARED_H_
