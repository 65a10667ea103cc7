// What send, receive and reply do to both sides, and all the ways a send can end without a reply.
//
// The steps of one round trip, as the comments number them:
//   (1) the client's send is set up        calls_message.cc, DecodeSend
//   (2) it is queued, or handed to a       calls_message.cc, Submit
//       waiting receiver: (3)
//   (3) the server receives it             Deliver
//   (4) the server replies                 calls_message.cc, Reply
//   (5) the client's wait ends             FinishSend; also the end of every failed send
#include <algorithm>
#include <array>
#include <bit>

#include "absl/strings/str_cat.h"
#include "kernel-sim/core/waits_for.h"
#include "kernel-sim/sim/simulation.h"

namespace parley::sim {

bool Simulation::Readable(ConstParts parts) {
  std::array<std::byte, 512> scratch;
  for (const ConstBytes& part : parts) {
    for (size_t at = 0; at < part.size(); at += scratch.size()) {
      const size_t run = std::min(scratch.size(), part.size() - at);
      if (!SafeCopy(scratch.data(), part.data() + at, run)) return false;
    }
  }
  return true;
}

SimThread* Simulation::FindMessage(const Process& server, MessageHandle message) {
  if (message.slot >= slots_.size()) return nullptr;
  SimThread* client = slots_[message.slot].get();
  if (client == nullptr || message.serial == 0 || client->send.serial != message.serial ||
      client->send.receiver != &server) {
    return nullptr;
  }
  return client;
}

Simulation::CopyOutcome Simulation::CopyRequest(const SimThread& client, MutableParts buffer,
                                                uint64_t& copied) {
  const ConstParts request = client.send.arguments->request;
  const uint64_t room = TotalBytes(buffer);
  copied = CopyParts(buffer, 0, request, 0, SafeCopy);
  if (copied == std::min(room, client.send.request_bytes)) return CopyOutcome::kCopied;
  return Readable(request) ? CopyOutcome::kServerFault : CopyOutcome::kClientFault;
}

void Simulation::FillInfo(const SimThread& client, MessageInfo& info) {
  const SendInFlight& send = client.send;
  info.process = client.process.id;
  info.thread = client.id();
  info.uid = client.process.birth.uid;
  info.gid = client.process.birth.gid;
  info.pid = Raw(client.process.id);
  info.connection = send.connection->id;
  info.badge = send.connection->badge;
  info.priority = client.sent_level();
  info.request_bytes = send.request_bytes;
  info.reply_room = send.reply_room;
  info.region_count = static_cast<uint32_t>(send.leases.size());
  info.unblock_requested = send.unblock_requested;
}

// (3)
void Simulation::Deliver(SimThread& server, SimThread& client, uint64_t copied,
                         ReceiveResult& result) {
  SendInFlight& send = client.send;
  SimChannel& channel = *send.connection->channel;
  inheritance_.Receive(server, client, channel, send.ceiling);
  channel.reply_blocked.push_back(client);
  send.receiver = &server.process;
  ++server.process.report.messages_received;
  send.connection->client->report.bytes_copied += copied;
  server.owed_ns += CopyCost(copied);
  result.is_pulse = false;
  result.message = {client.slot, send.serial};
  FillInfo(client, result.info);
  if (telling_) TellMessage(TraceKind::kReceive, server, client, send.request_bytes);
}

// (5)
void Simulation::FinishSend(SimThread& client, absl::Status status) {
  SendInFlight& send = client.send;
  Connection& connection = *send.connection;
  if (telling_ && !status.ok()) TellSendFailed(client, status);
  if (!send.leases.empty()) EndLeases(client, /*client_left=*/false);
  if (client.entry().queued()) {
    inheritance_.Dequeue(client);
  } else {
    if (send.unblock_requested) WithdrawUnblockPulse(send);
    client.reply_hook.unlink();
    inheritance_.EndReply(client);
  }
  if (client.grace.armed()) scheduler_.timers().Disarm(client.grace);
  if (status.ok()) RecordResponse(client);
  send.serial = 0;
  send.receiver = nullptr;
  --connection.sends_in_flight;
  Wake(client, std::move(status));
  ForgetIfUnused(connection);
}

// D2, D3, D5: the client wants to leave.
void Simulation::LeaveSend(SimThread& client, Error before_receive, Error after_receive) {
  SendInFlight& send = client.send;
  if (client.state() == ThreadState::kSend) {
    return FinishSend(client, MakeError(before_receive, Describe(before_receive)));
  }
  SimChannel& channel = *send.connection->channel;
  if (!channel.options.unblock_pulse) return AbandonSend(client, after_receive);
  if (send.unblock_requested) return;
  send.unblock_requested = true;
  send.unblock_priority = static_cast<uint8_t>(client.sent_level());
  send.leave_error = after_receive;
  OfferKernelPulse(channel, KernelPulse::kUnblock, send.serial, send.unblock_priority);
  if (send.arguments->grace_ns != kNever) {
    scheduler_.timers().Arm(client.grace, now() + std::max<int64_t>(send.arguments->grace_ns, 0));
  }
}

// L2, D5: the client has died. What it queued vanishes; what was received turns dead in the
// server's hands, which learns of it from an unblock pulse where the channel has those.
void Simulation::EndSendOfDeadClient(SimThread& client) {
  SendInFlight& send = client.send;
  if (client.state() == ThreadState::kReply) {
    SimChannel& channel = *send.connection->channel;
    if (channel.options.unblock_pulse && !send.unblock_requested) {
      OfferKernelPulse(channel, KernelPulse::kUnblock, send.serial, client.sent_level());
    }
    send.unblock_requested = false;  // the pulse stays queued
    EndLeases(client, /*client_left=*/true);
  }
  FinishSend(client, MakeError(Error::kProcessEnded, Describe(Error::kProcessEnded)));
}

// The client leaves at once: the server's handle goes dead (D3), what it may still write is
// contested (R5).
void Simulation::AbandonSend(SimThread& client, Error error) {
  EndLeases(client, /*client_left=*/true);
  FinishSend(client, MakeError(error, Describe(error)));
}

void Simulation::RecordResponse(const SimThread& client) {
  const SendInFlight& send = client.send;
  const int64_t response_ns = now() - send.sent_at_ns;
  ResponseReport& response = responses_[send.priority_at_send];
  ++response.count;
  response.total_ns += response_ns;
  response.worst_ns = std::max(response.worst_ns, response_ns);
  ++response.histogram[static_cast<size_t>(std::bit_width(static_cast<uint64_t>(response_ns)))];
  ProcessReport& report = client.process.report;
  report.worst_response_ns = std::max(report.worst_response_ns, response_ns);
  if (response_ns > report.response_limit_ns) ++report.late_responses;
}

// L4. Follows who waits for whom while only one thread could free the one before; names the circle
// if it closes.
absl::Status Simulation::RefuseDeadlock(SimThread& client, SimThread& waits_for) {
  const std::vector<SimThread*> cycle = FindCycle(
      &client, &waits_for, [](SimThread* thread) { return ExclusivelyWaitsFor(*thread); });
  if (cycle.empty()) return absl::OkStatus();
  return MakeError(Error::kWouldDeadlock, absl::StrCat("would deadlock: ", DescribeCycle(cycle)));
}

// The one thread that could free this blocked one, null if it is not blocked or several could.
SimThread* Simulation::ExclusivelyWaitsFor(const SimThread& thread) {
  auto only_server = [](const SimChannel& channel) -> SimThread* {
    return channel.servers().size() == 1 ? static_cast<SimThread*>(channel.servers()[0]) : nullptr;
  };
  switch (thread.state()) {
    case ThreadState::kSend:
      return only_server(*thread.send.connection->channel);
    case ThreadState::kReply: {
      // Any thread of the server's process may hold the message by now (S4).
      const SimChannel& channel = *thread.send.connection->channel;
      return std::next(channel.process.threads.begin()) == channel.process.threads.end()
                 ? only_server(channel)
                 : nullptr;
    }
    case ThreadState::kMutex:
      return static_cast<SimThread*>(thread.mutex()->owner);
    case ThreadState::kJoin:
      return thread.joining;
    default:
      return nullptr;
  }
}

std::string Simulation::NameOf(const SimThread& thread) {
  return absl::StrCat(thread.process.birth.name, "/", thread.name);
}

std::string Simulation::DescribeCycle(const std::vector<SimThread*>& cycle) {
  std::string text;
  for (const SimThread* thread : cycle) absl::StrAppend(&text, NameOf(*thread), " -> ");
  return absl::StrCat(text, NameOf(*cycle.front()));
}

}  // namespace parley::sim
