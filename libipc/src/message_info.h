// The kernel's MessageInfo as programs see it.
#ifndef PARLEY_LIBIPC_SRC_MESSAGE_INFO_H_
#define PARLEY_LIBIPC_SRC_MESSAGE_INFO_H_

#include "ipc/message.h"
#include "kernel-sim/kernel.h"

namespace ipc {

inline void CopyInfo(const parley::MessageInfo& from, MessageInfo& to) {
  to.sender = ProcessRef(parley::Raw(from.process));
  to.thread = parley::Raw(from.thread);
  to.uid = from.uid;
  to.gid = from.gid;
  to.pid = from.pid;
  to.connection = from.connection;
  to.badge = from.badge;
  to.priority = from.priority;
  to.request_bytes = from.request_bytes;
  to.reply_room = from.reply_room;
  to.region_count = from.region_count;
  to.unblock_requested = from.unblock_requested;
}

}  // namespace ipc

#endif  // PARLEY_LIBIPC_SRC_MESSAGE_INFO_H_
