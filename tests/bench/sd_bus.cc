// Peer: D-Bus by sd-bus, from process to process over Unix sockets, with no bus daemon between.
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include <cerrno>
#include <optional>

#include "tests/bench/payload.h"
#include "tests/bench/peer.h"
#include "tests/bench/process.h"
#include "tests/bench/socket_pairs.h"

namespace parley_bench {
namespace {

constexpr char kPath[] = "/echo";
constexpr char kInterface[] = "parley.Echo";
constexpr uint64_t kTimeoutUs = 10'000'000;
constexpr sd_id128_t kServerId = {.bytes = {'p', 'a', 'r', 'l', 'e', 'y'}};

// sd-bus returns errors as negative numbers.
int RequireBus(int result, const char* what) {
  errno = -result;
  Require(result >= 0, what);
  return result;
}

int Answer(sd_bus_message* request, void*, sd_bus_error*) {
  const void* data = nullptr;
  size_t bytes = 0;
  RequireBus(sd_bus_message_read_array(request, 'y', &data, &bytes), "sd_bus_message_read_array");
  const Reply reply = {.sum = Sum(data, bytes)};
  sd_bus_message* message = nullptr;
  RequireBus(sd_bus_message_new_method_return(request, &message), "sd_bus_message_new");
  RequireBus(sd_bus_message_append_array(message, 'y', &reply, sizeof(reply)), "sd_bus_append");
  RequireBus(sd_bus_send(nullptr, message, nullptr), "sd_bus_send");
  sd_bus_message_unref(message);
  return 1;
}

const sd_bus_vtable kMethods[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Call", "ay", "ay", Answer, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

// One end of a connection. Anonymous and trusted: it asks nobody who is calling.
sd_bus* NewBus(int fd, bool server) {
  sd_bus* bus = nullptr;
  RequireBus(sd_bus_new(&bus), "sd_bus_new");
  RequireBus(sd_bus_set_fd(bus, fd, fd), "sd_bus_set_fd");
  RequireBus(sd_bus_set_trusted(bus, 1), "sd_bus_set_trusted");
  RequireBus(sd_bus_set_anonymous(bus, 1), "sd_bus_set_anonymous");
  if (server) RequireBus(sd_bus_set_server(bus, 1, kServerId), "sd_bus_set_server");
  RequireBus(sd_bus_start(bus), "sd_bus_start");
  return bus;
}

class SdBusPeer : public Peer {
 public:
  explicit SdBusPeer(const Setup& setup) : setup_(setup), sockets_(setup.clients) {}

  void Serve(const std::function<void()>& ready) override {
    sd_event* event = nullptr;
    if (setup_.fan_in) RequireBus(sd_event_new(&event), "sd_event_new");
    sd_bus* bus = nullptr;
    for (int client = 0; client < sockets_.size(); ++client) {
      bus = NewBus(sockets_.server_end(client), true);
      RequireBus(sd_bus_add_object_vtable(bus, nullptr, kPath, kInterface, kMethods, nullptr),
                 "sd_bus_add_object_vtable");
      if (setup_.fan_in) RequireBus(sd_bus_attach_event(bus, event, 0), "sd_bus_attach_event");
    }
    ready();
    if (setup_.fan_in) RequireBus(sd_event_loop(event), "sd_event_loop");
    for (;;) {
      if (RequireBus(sd_bus_process(bus, nullptr), "sd_bus_process") == 0) {
        RequireBus(sd_bus_wait(bus, UINT64_MAX), "sd_bus_wait");
      }
    }
  }

  void Connect(int client) override {
    bus_ = NewBus(sockets_.client_end(client), false);
    request_.emplace(setup_.bytes);
  }

  uint64_t Call(uint64_t number) override {
    request_->SetNumber(number);
    sd_bus_message* message = nullptr;
    RequireBus(sd_bus_message_new_method_call(bus_, &message, nullptr, kPath, kInterface, "Call"),
               "sd_bus_message_new");
    RequireBus(sd_bus_message_append_array(message, 'y', request_->data(), request_->size()),
               "sd_bus_append");
    sd_bus_message* answer = nullptr;
    RequireBus(sd_bus_call(bus_, message, kTimeoutUs, nullptr, &answer), "sd_bus_call");
    const void* data = nullptr;
    size_t bytes = 0;
    RequireBus(sd_bus_message_read_array(answer, 'y', &data, &bytes), "sd_bus_read");
    if (bytes != sizeof(Reply)) Fatal("sd-bus: a reply of another length");
    const uint64_t sum = SumInReply(data);
    sd_bus_message_unref(message);
    sd_bus_message_unref(answer);
    return sum;
  }

 private:
  const Setup setup_;
  SocketPairs sockets_;
  // The client's.
  std::optional<Request> request_;
  sd_bus* bus_ = nullptr;
};

}  // namespace

PeerKind SdBus() { return {.name = "peer/sd-bus", .fan_in = true, .make = Make<SdBusPeer>}; }

}  // namespace parley_bench
