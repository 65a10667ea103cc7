// What a test and the processes of its world share, on every kernel: values in memory that survives
// a fork, and the number of checks that have failed anywhere.
#ifndef PARLEY_TESTS_SUPPORT_SHARED_H_
#define PARLEY_TESTS_SUPPORT_SHARED_H_

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace tests {

// A T in memory that processes forked from this one share with it. Copies are the same value: a
// program captures it by value or by reference.
template <typename T>
class Shared {
 public:
  Shared() : Shared(T{}) {}
  explicit Shared(T value) {
    void* memory = mmap(nullptr, sizeof(std::atomic<T>), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    value_ = new (memory) std::atomic<T>(value);
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { munmap(value_, sizeof(std::atomic<T>)); }

  operator T() const { return value_->load(); }
  T operator=(T value) {
    value_->store(value);
    return value;
  }
  T operator++() { return value_->fetch_add(1) + 1; }
  T operator++(int) { return value_->fetch_add(1); }
  T operator+=(T more) { return value_->fetch_add(more) + more; }

 private:
  std::atomic<T>* value_;
};

// Up to kMax values, appended from any process, in their order.
template <typename T, size_t kMax = 256>
class SharedList {
 public:
  void Append(T value) {
    const size_t at = used_++;
    if (at < kMax) values_[at] = value;
  }
  size_t size() const { return used_; }
  T operator[](size_t at) const { return values_[at]; }

 private:
  Shared<size_t> used_;
  Shared<T> values_[kMax];
};

// Checks that have failed in this process and those forked from it since the test program began.
uint64_t FailedChecks();

}  // namespace tests

#endif  // PARLEY_TESTS_SUPPORT_SHARED_H_
