// What Receive returns has to be looked at: dropped, it would answer a client that nobody heard.
#include "ipc/channel.h"

void Serve(const ipc::Channel& channel) {
#ifndef CANARY_OK
  channel.Receive();
#else
  ipc::Received received = channel.Receive().value();
  if (ipc::Message* message = received.message()) message->Reply().IgnoreError();
#endif
}
