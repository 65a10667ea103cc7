// Names of thread states, as people read them.
#include "kernel-sim/core/trace.h"

namespace parley {

std::string_view Name(ThreadState state) {
  constexpr std::string_view kNames[] = {"STOPPED", "READY",   "RUNNING", "SEND",
                                         "RECEIVE", "REPLY",   "SLEEP",   "JOIN",
                                         "MUTEX",   "CONDVAR", "DEAD"};
  return kNames[static_cast<size_t>(state)];
}

}  // namespace parley
