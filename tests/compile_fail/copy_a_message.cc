// A message is a one-shot handle: it can be moved, never copied, so nobody answers twice (S4).
#include "ipc/message.h"

void Keep(ipc::Message& message) {
#ifndef CANARY_OK
  ipc::Message copy = message;
#else
  ipc::Message copy = std::move(message);
#endif
  copy.Reply().IgnoreError();
}
