// A mutex of the library's own, held for a scope.
#ifndef PARLEY_LIBIPC_SRC_HELD_MUTEX_H_
#define PARLEY_LIBIPC_SRC_HELD_MUTEX_H_

#include "ipc/thread.h"

namespace ipc {

// A cancel of the thread, which a lock can report, is not for the library's own: it is asked for
// once more.
class HeldMutex {
 public:
  explicit HeldMutex(Mutex* mutex) : mutex_(mutex) {
    if (mutex_ != nullptr && !mutex_->Lock().ok()) mutex_->Lock().IgnoreError();
  }
  HeldMutex(const HeldMutex&) = delete;
  HeldMutex& operator=(const HeldMutex&) = delete;
  ~HeldMutex() {
    if (mutex_ != nullptr) mutex_->Unlock().IgnoreError();
  }

 private:
  Mutex* const mutex_;  // null: none is needed
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_SRC_HELD_MUTEX_H_
