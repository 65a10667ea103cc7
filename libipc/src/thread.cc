// Threads, mutexes and condition variables.
#include "ipc/thread.h"

#include <utility>

#include "libipc/src/convert.h"

namespace ipc {
namespace {

parley::ThreadHandle Handle(uint32_t handle) { return parley::ThreadHandle{handle}; }

}  // namespace

Thread::Thread(Thread&& other) noexcept
    : kernel_(other.kernel_), handle_(std::exchange(other.handle_, 0)) {}

Thread& Thread::operator=(Thread&& other) noexcept {
  std::swap(kernel_, other.kernel_);
  std::swap(handle_, other.handle_);
  return *this;
}

Thread::~Thread() {
  if (handle_ != 0) kernel_->ThreadEnd(Handle(handle_));
}

absl::Status Thread::Join(Deadline deadline) {
  absl::Status joined = kernel_->ThreadJoin(Handle(handle_), Resolve(*kernel_, deadline));
  if (joined.ok()) handle_ = 0;
  return joined;
}

absl::Status Thread::Cancel() { return kernel_->ThreadCancel(Handle(handle_)); }

absl::Status Thread::SetScheduling(const Scheduling& scheduling) {
  return kernel_->ThreadSetScheduling(Handle(handle_), ToKernel(scheduling));
}

absl::StatusOr<int> Thread::priority() const { return kernel_->ThreadPriority(Handle(handle_)); }

Mutex::Mutex(Mutex&& other) noexcept
    : kernel_(other.kernel_), handle_(std::exchange(other.handle_, 0)) {}

Mutex::~Mutex() {
  if (handle_ != 0) kernel_->MutexDestroy(parley::MutexHandle{handle_});
}

absl::Status Mutex::Lock(Deadline deadline) {
  return kernel_->MutexLock(parley::MutexHandle{handle_}, Resolve(*kernel_, deadline));
}

absl::Status Mutex::Unlock() { return kernel_->MutexUnlock(parley::MutexHandle{handle_}); }

CondVar::CondVar(CondVar&& other) noexcept
    : kernel_(other.kernel_), handle_(std::exchange(other.handle_, 0)) {}

CondVar::~CondVar() {
  if (handle_ != 0) kernel_->CondVarDestroy(parley::CondVarHandle{handle_});
}

absl::Status CondVar::Wait(Mutex& mutex, Deadline deadline) {
  return kernel_->CondVarWait(parley::CondVarHandle{handle_}, parley::MutexHandle{mutex.handle_},
                              Resolve(*kernel_, deadline));
}

absl::Status CondVar::Signal() {
  return kernel_->CondVarSignal(parley::CondVarHandle{handle_}, /*all=*/false);
}

absl::Status CondVar::SignalAll() {
  return kernel_->CondVarSignal(parley::CondVarHandle{handle_}, /*all=*/true);
}

}  // namespace ipc
