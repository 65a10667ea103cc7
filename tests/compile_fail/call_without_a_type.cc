// A typed call takes plain structs with a message type and a version, and nothing else.
#include <string>

#include "ipc/connection.h"

struct Request {
#ifndef CANARY_OK
  std::string name;
#else
  char name[16] = {};
#endif
  static constexpr ipc::MessageType kType{.code = 1, .version = 1};
};
struct Reply {
  static constexpr ipc::MessageType kType{.code = 2, .version = 1};
};

bool Ask(const ipc::Connection& connection) { return connection.Call<Reply>(Request{}).ok(); }
