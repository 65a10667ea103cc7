// Kernel calls: send, receive, reply. The steps are numbered in messages.cc.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernel-sim/sim/calls.h"

namespace parley::sim {
absl::Status Calls::DecodeReferences(absl::Span<const RegionReference> references,
                                     absl::InlinedVector<Lease, 2>& leases) {
  if (references.size() > kMaxRegionReferences) {
    return MakeError(Error::kInvalidArgument,
                     absl::StrCat(references.size(), " region references; ", kMaxRegionReferences,
                                  " are possible"));
  }
  for (const RegionReference& reference : references) {
    RegionMapping* mapping = process_.memory.handles.Find(reference.region);
    if (mapping == nullptr) return Refuse(Error::kBadHandle);
    if (mapping->region == nullptr || !sim_.capabilities().IsLive(mapping->capability)) {
      return Refuse(Error::kLeaseEnded);
    }
    if (reference.length == 0 || reference.offset > mapping->bytes ||
        reference.length > mapping->bytes - reference.offset) {
      return MakeError(Error::kInvalidArgument, "a region reference past the end of its region");
    }
    const bool out = reference.direction != Direction::kIn;
    const bool in = reference.direction != Direction::kOut;
    if (reference.direction > Direction::kInOut || (!in && !out)) {
      return MakeError(Error::kInvalidArgument, "a region reference without a direction");
    }
    if (out && (mapping->region->frozen || !mapping->region->others_may_write)) {
      return MakeError(Error::kNotPermitted, "nobody else may write into this region");
    }
    if ((out && !Includes(mapping->rights, Rights::kWrite)) ||
        (in && !Includes(mapping->rights, Rights::kRead))) {
      return MakeError(Error::kNotPermitted, "a region reference beyond the sender's own rights");
    }
    leases.push_back({.region = mapping->region,
                      .offset = mapping->offset + reference.offset,
                      .length = reference.length,
                      .direction = reference.direction,
                      .capability = mapping->capability});
  }
  return absl::OkStatus();
}

absl::StatusOr<SendResult> Calls::Send(ConnectionHandle handle, const SendArguments& arguments) {
  PARLEY_ENTER();
  SimThread& client = sim_.current();
  if (absl::Status valid = DecodeSend(client, handle, arguments); !valid.ok()) return valid;
  if (absl::Status submitted = Submit(client); !submitted.ok()) return submitted;
  if (absl::Status ended = sim_.EndWait(client); !ended.ok()) return ended;
  return client.send.result;
}

// (1)
absl::Status Calls::DecodeSend(SimThread& client, ConnectionHandle handle,
                               const SendArguments& arguments) {
  SendInFlight& send = client.send;
  Connection* connection = process_.connections.Find(handle);
  if (connection == nullptr) return Refuse(Error::kBadHandle);
  if (connection->channel == nullptr) return Refuse(Error::kNoSuchChannel);
  if (connection->revoked) return MakeError(Error::kNoSuchChannel, "the connection was revoked");
  const uint64_t request_bytes = TotalBytes(arguments.request);
  const uint64_t reply_room = TotalBytes(arguments.reply);
  absl::Status fits = CheckParts(arguments.request.size(), request_bytes);
  if (fits.ok()) fits = CheckParts(arguments.reply.size(), reply_room);
  if (!fits.ok()) return fits;
  send.leases.clear();
  if (!arguments.regions.empty()) {
    absl::Status valid = DecodeReferences(arguments.regions, send.leases);
    if (!valid.ok()) {
      send.leases.clear();
      return valid;
    }
  }
  if (std::exchange(client.cancel_pending, false)) return Refuse(Error::kCancelled);
  if (arguments.deadline_ns <= sim_.now()) return Refuse(Error::kDeadlineBeforeReceive);  // D1

  send.connection = connection;
  send.arguments = &arguments;
  send.request_bytes = request_bytes;
  send.reply_room = reply_room;
  send.sent_at_ns = sim_.now();
  send.ceiling = static_cast<uint8_t>(std::min(connection->ceiling, process_.options.ceiling));
  send.unblock_requested = false;
  send.result = {};
  return absl::OkStatus();
}

// (2) Queues the message, or hands it to a waiting receiver. The client then waits for the reply.
absl::Status Calls::Submit(SimThread& client) {
  SendInFlight& send = client.send;
  SimChannel& channel = *send.connection->channel;
  ReceiverEntry* receiver = channel.FrontReceiver();
  uint64_t copied = 0;
  SimThread* server = nullptr;
  if (receiver != nullptr) {
    server = &static_cast<SimThread&>(Thread::FromReceiver(*receiver));
    switch (sim_.CopyRequest(client, server->receive_buffer, copied)) {
      case Simulation::CopyOutcome::kClientFault:
        return Refuse(Error::kBadAddress);
      case Simulation::CopyOutcome::kServerFault:
        sim_.inheritance().RemoveReceiver(*server);
        sim_.Wake(*server, Refuse(Error::kBadAddress));
        server = nullptr;
        break;
      case Simulation::CopyOutcome::kCopied:
        break;
    }
  } else if (channel.servers().size() == 1) {
    auto& only = static_cast<SimThread&>(*channel.servers()[0]);
    if (absl::Status safe = sim_.RefuseDeadlock(client, only); !safe.ok()) return safe;  // L4
  }
  send.serial = sim_.NextSerial();
  send.priority_at_send = static_cast<uint8_t>(std::min<int>(client.effective(), send.ceiling));
  ++send.connection->sends_in_flight;
  ++process_.report.messages_sent;
  if (!send.leases.empty()) sim_.LendFrom(client);
  for (Lease& lease : send.leases) {
    ++lease.region->leases;
    process_.report.bytes_leased += lease.length;
  }
  sim_.TellSend(client);
  const ThreadState state = server != nullptr ? ThreadState::kReply : ThreadState::kSend;
  sim_.BeginWait(client, state, send.arguments->deadline_ns);
  if (server != nullptr) {
    sim_.inheritance().RemoveReceiver(*server);
    sim_.Deliver(*server, client, copied, *server->receive_result);
    sim_.Wake(*server, absl::OkStatus());
  } else {
    sim_.inheritance().Enqueue(client, channel, send.ceiling);
  }
  return absl::OkStatus();
}

absl::Status Calls::Receive(ChannelHandle handle, MutableParts buffer, int64_t deadline_ns,
                            ReceiveResult& result) {
  PARLEY_ENTER();
  SimThread& server = sim_.current();
  SimChannel* channel = process_.channels.Find(handle);
  if (channel == nullptr) return Refuse(Error::kBadHandle);
  sim_.inheritance().EndCurrent(server);  // P3: the next receive ends the term
  sim_.inheritance().Serve(server, *channel);
  while (QueueEntry* entry = channel->Front()) {
    if (entry->kind == QueueEntry::Kind::kPulse) {
      sim_.TakePulse(server, *channel, static_cast<Pulse&>(*entry), result);
      Leave();
      return absl::OkStatus();
    }
    auto& client = static_cast<SimThread&>(Thread::FromEntry(*entry));
    uint64_t copied = 0;
    switch (sim_.CopyRequest(client, buffer, copied)) {
      case Simulation::CopyOutcome::kServerFault:
        Leave();
        return Refuse(Error::kBadAddress);
      case Simulation::CopyOutcome::kClientFault:
        sim_.FinishSend(client, Refuse(Error::kBadAddress));
        continue;
      case Simulation::CopyOutcome::kCopied:
        break;
    }
    sim_.scheduler().ChangeWait(client, ThreadState::kReply);
    sim_.Deliver(server, client, copied, result);
    Leave();
    return absl::OkStatus();
  }
  if (std::exchange(server.cancel_pending, false) || deadline_ns <= sim_.now()) {
    const bool late = deadline_ns <= sim_.now();
    Leave();
    return Refuse(late ? Error::kDeadline : Error::kCancelled);
  }
  server.receive_buffer = buffer;
  server.receive_result = &result;
  sim_.BeginWait(server, ThreadState::kReceive, deadline_ns);
  sim_.inheritance().AddReceiver(server, *channel);
  return sim_.EndWait(server);
}

absl::StatusOr<SimThread*> Calls::DecodeMessage(MessageHandle message) {
  SimThread* client = sim_.FindMessage(process_, message);
  if (client == nullptr) return Refuse(Error::kMessageGone);
  return client;
}

// (4)
absl::StatusOr<uint64_t> Calls::Reply(MessageHandle message, ConstParts reply) {
  PARLEY_ENTER();
  SimThread* client = sim_.FindMessage(process_, message);
  if (client == nullptr) {
    sim_.LetGo(process_, message.serial);
    return Refuse(Error::kMessageGone);
  }
  const uint64_t bytes = TotalBytes(reply);
  if (absl::Status fits = CheckParts(reply.size(), bytes); !fits.ok()) {
    sim_.FinishSend(*client, Refuse(Error::kNotReplied));
    Leave();
    return fits;
  }
  const uint64_t wanted = std::min(bytes, client->send.reply_room);
  const uint64_t copied = CopyParts(client->send.arguments->reply, 0, reply, 0, SafeCopy);
  if (copied < wanted && !sim_.Readable(reply)) return Refuse(Error::kBadAddress);
  absl::Status status = copied < wanted ? Refuse(Error::kBadAddress) : absl::OkStatus();
  client->send.result.reply_bytes = bytes;
  client->process.report.bytes_copied += copied;
  sim_.current().owed_ns += sim_.CopyCost(copied);
  sim_.TellReply(sim_.current(), *client, bytes);
  sim_.FinishSend(*client, std::move(status));
  Leave();
  return copied;
}

absl::Status Calls::ReplyError(MessageHandle message, absl::StatusCode code,
                               std::string_view text) {
  PARLEY_ENTER();
  SimThread* client = sim_.FindMessage(process_, message);
  if (client == nullptr) {
    sim_.LetGo(process_, message.serial);
    return Refuse(Error::kMessageGone);
  }
  if (code == absl::StatusCode::kOk) {
    return MakeError(Error::kInvalidArgument, "an error reply needs an error");
  }
  sim_.TellReply(sim_.current(), *client, 0);
  const bool dropped = code == absl::StatusCode::kAborted && text.empty();
  sim_.FinishSend(*client, dropped ? Refuse(Error::kNotReplied) : MakeServerError(code, text));
  Leave();
  return absl::OkStatus();
}

void Calls::MessageDrop(MessageHandle message) noexcept {
  if (!EnterQuietly()) return;
  if (SimThread* client = sim_.FindMessage(process_, message)) {
    sim_.TellReply(sim_.current(), *client, 0);
    sim_.FinishSend(*client, Refuse(Error::kNotReplied));
  } else {
    sim_.LetGo(process_, message.serial);
  }
  Leave();
}

absl::StatusOr<uint64_t> Calls::MessageRead(MessageHandle message, uint64_t offset,
                                            MutableParts destination) {
  PARLEY_ENTER();
  auto client = DecodeMessage(message);
  if (!client.ok()) return client.status();
  SendInFlight& send = (*client)->send;
  if (offset >= send.request_bytes) return 0;
  const uint64_t wanted = std::min(send.request_bytes - offset, TotalBytes(destination));
  const uint64_t copied = CopyParts(destination, 0, send.arguments->request, offset, SafeCopy);
  if (copied < wanted) return Refuse(Error::kBadAddress);
  (*client)->process.report.bytes_copied += copied;
  sim_.current().owed_ns += sim_.CopyCost(copied);
  return copied;
}

absl::StatusOr<uint64_t> Calls::MessageWrite(MessageHandle message, uint64_t offset,
                                             ConstParts source) {
  PARLEY_ENTER();
  auto client = DecodeMessage(message);
  if (!client.ok()) return client.status();
  SendInFlight& send = (*client)->send;
  if (offset >= send.reply_room) return 0;
  const uint64_t wanted = std::min(send.reply_room - offset, TotalBytes(source));
  const uint64_t copied = CopyParts(send.arguments->reply, offset, source, 0, SafeCopy);
  if (copied < wanted) return Refuse(Error::kBadAddress);
  (*client)->process.report.bytes_copied += copied;
  sim_.current().owed_ns += sim_.CopyCost(copied);
  return copied;
}

absl::StatusOr<MessageInfo> Calls::MessageGetInfo(MessageHandle message) {
  PARLEY_ENTER();
  auto client = DecodeMessage(message);
  if (!client.ok()) return client.status();
  MessageInfo info;
  Simulation::FillInfo(**client, info);
  return info;
}

absl::StatusOr<Mapping> Calls::MessageLease(MessageHandle message, uint32_t index) {
  PARLEY_ENTER();
  auto client = DecodeMessage(message);
  if (!client.ok()) return client.status();
  if (index >= (*client)->send.leases.size()) {
    return MakeError(Error::kInvalidArgument, absl::StrCat("region reference ", index, " of ",
                                                           (*client)->send.leases.size()));
  }
  Lease& lease = (*client)->send.leases[index];
  auto mapping = sim_.MapLease(process_, lease);
  if (!mapping.ok()) return mapping.status();
  return MappingOf(**mapping, lease.offset - (*mapping)->offset, lease.length);
}

absl::StatusOr<Direction> Calls::MessageLeaseDirection(MessageHandle message, uint32_t index) {
  PARLEY_ENTER();
  auto client = DecodeMessage(message);
  if (!client.ok()) return client.status();
  if (index >= (*client)->send.leases.size()) return Refuse(Error::kInvalidArgument);
  return (*client)->send.leases[index].direction;
}

}  // namespace parley::sim
