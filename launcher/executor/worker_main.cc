#include "launcher/executor/worker_main.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "bootstrap/error_report.h"
#include "bootstrap/registry.h"
#include "bootstrap/target.h"
#include "launcher/executor/call_target.h"
#include "launcher/executor/protocol.h"
#include "launcher/executor/worker_io.h"
#include "serialization/messages.h"
#include "serialization/wire.h"

namespace brood::internal {
namespace {

// Reads ahead: a small request comes whole with one read.
class Incoming {
 public:
  explicit Incoming(int stream) : stream_(stream) {}

  // False at the end of the stream, however it came.
  bool Read(void* to, size_t size) {
    auto* at = static_cast<char*>(to);
    while (true) {
      const size_t have = std::min(size, end_ - begin_);
      if (have > 0) std::memcpy(at, buffer_ + begin_, have);
      begin_ += have;
      at += have;
      size -= have;
      if (size == 0) return true;
      if (size >= sizeof(buffer_)) {
        const size_t n = ReadSome(stream_, at, size);
        if (n == 0) return false;
        at += n;
        size -= n;
      } else {
        const size_t n = ReadSome(stream_, buffer_, sizeof(buffer_));
        if (n == 0) return false;
        begin_ = 0;
        end_ = n;
      }
    }
  }

 private:
  const int stream_;
  char buffer_[16384];
  size_t begin_ = 0;
  size_t end_ = 0;
};

std::string ErrorBytes(ResultError error) { return EncodeResult({.value = std::nullopt, .error = std::move(error)}); }

// The worker's end: what it has of the chunk that it works on.
class Worker {
 public:
  Worker(int stream, uint64_t max_result_bytes) : stream_(stream), incoming_(stream), max_result_bytes_(max_result_bytes) {}

  absl::Status OpenJournal(int journal) {
    BROOD_ASSIGN_OR_RETURN(void* const memory, MapJournal(journal));
    journal_ = new (memory) JournalHeader;
    return absl::OkStatus();
  }

  void Say(PoolReply reply, std::string_view body) {
    reply.body_bytes = body.size();
    std::string whole(reinterpret_cast<const char*>(&reply), sizeof(reply));
    whole += body;
    WriteAll(stream_, whole);
  }

  void Serve() {
    while (incoming_.Read(&request_, sizeof(request_)) && request_.magic == kPoolMagic) {
      // Before anything is allocated for it: from here on the worker's death is this chunk's.
      journal_->progress.store(uint64_t{request_.first} << 32);
      journal_->first.store(request_.first);
      journal_->task.store(request_.task);
      names_.resize(request_.name_bytes + request_.signature_bytes);
      arguments_.resize(request_.argument_bytes);
      if (!incoming_.Read(names_.data(), names_.size()) || !incoming_.Read(arguments_.data(), arguments_.size())) return;
      if (!Work()) return;  // Not what an executor sends.
      if (arguments_.capacity() > kKeepBytes) arguments_ = std::string();
    }
  }

 private:
  static constexpr size_t kKeepBytes = size_t{4} << 20;

  const absl::StatusOr<const TargetEntry*>& Target() {
    auto [at, is_new] = targets_.try_emplace(names_, nullptr);
    if (is_new) {
      const std::string_view names = names_;
      at->second = FindTargetAs(names.substr(0, request_.name_bytes), names.substr(request_.name_bytes));
    }
    return at->second;
  }

  bool Work() {
    const absl::StatusOr<const TargetEntry*>& target = Target();
    WireReader arguments(arguments_);
    first_ = request_.first;
    StartReply();
    for (uint32_t i = 0; i < request_.end; ++i) {
      uint32_t size = 0;
      std::string_view own;
      if (!arguments.Number(size) || !arguments.Raw(size, own)) return false;
      if (i < request_.first) continue;
      if (journal_->stop.load(std::memory_order_relaxed) == request_.task) {
        Flush(i);
        PoolReply stopped;
        stopped.kind = PoolReplyKind::kStopped;
        stopped.task = request_.task;
        stopped.first = i;
        Say(stopped, {});
        return true;
      }
      WorkOn(target, own, i);
    }
    Flush(request_.end);
    return true;
  }

  void WorkOn(const absl::StatusOr<const TargetEntry*>& target, std::string_view arguments, uint32_t index) {
    if (request_.timed != 0) {
      journal_->began_ns.store(static_cast<uint64_t>(NowNs()));
    }
    const size_t begin = reply_.size();
    reply_.Number(uint32_t{0});
    std::optional<ResultError> error =
        target.ok() ? CallTarget(**target, WireReader(arguments), reply_) : StatusError(target.status());
    if (!error.has_value() && !reply_.TakeHandles().empty()) {
      error = StatusError(absl::InvalidArgumentError("a result cannot carry descriptors; send them over a connection"));
    }
    size_t size = reply_.size() - begin - sizeof(uint32_t);
    if (!error.has_value() && size > max_result_bytes_) {
      error = StatusError(absl::ResourceExhaustedError(
          absl::StrCat("the result takes ", size, " bytes, ", max_result_bytes_, " are allowed")));
    }
    if (error.has_value()) {
      const std::string bytes = ErrorBytes(*std::move(error));
      reply_.Truncate(begin + sizeof(uint32_t));
      reply_.Raw(bytes.data(), bytes.size());
      size = bytes.size();
    }
    reply_.Overwrite(begin, static_cast<uint32_t>(size) | (error.has_value() ? kPoolErrorBit : 0));
    const size_t filled = reply_.size() - sizeof(PoolReply);
    if (filled > kJournalRoom) {
      Flush(index + 1);
      return;
    }
    std::memcpy(reinterpret_cast<char*>(journal_ + 1) + begin - sizeof(PoolReply), reply_.bytes().data() + begin,
                reply_.size() - begin);
    journal_->progress.store(uint64_t{index + 1} << 32 | filled);
  }

  void StartReply() {
    reply_.Truncate(0);
    const PoolReply header;
    reply_.Raw(&header, sizeof(header));
  }

  // Sends the results of the calls before `end` that were not sent yet.
  void Flush(uint32_t end) {
    if (end == first_) return;
    PoolReply header;
    header.kind = PoolReplyKind::kResults;
    header.task = request_.task;
    header.first = first_;
    header.count = end - first_;
    header.body_bytes = reply_.size() - sizeof(header);
    std::string whole = reply_.Take();
    std::memcpy(whole.data(), &header, sizeof(header));
    WriteAll(stream_, whole);
    // In this order: killed in between, the journal has nothing that was not sent.
    journal_->first.store(end);
    journal_->progress.store(uint64_t{end} << 32);
    first_ = end;
    StartReply();
  }

  const int stream_;
  Incoming incoming_;
  const uint64_t max_result_bytes_;
  JournalHeader* journal_ = nullptr;
  PoolRequest request_;
  std::string names_;
  std::string arguments_;
  std::map<std::string, absl::StatusOr<const TargetEntry*>> targets_;
  WireWriter reply_;
  uint32_t first_ = 0;  // The first call whose result is in `reply_`.
};

std::optional<ResultError> RunInitializer(std::string_view name, std::string_view signature, std::string_view arguments,
                                          std::vector<UniqueFd> handles) {
  const absl::StatusOr<const TargetEntry*> target = FindTargetAs(name, signature);
  if (!target.ok()) return StatusError(target.status());
  WireHandles shared;
  for (UniqueFd& handle : handles) shared.push_back(std::make_shared<const UniqueFd>(std::move(handle)));
  WireWriter value;
  return CallTarget(**target, WireReader(arguments, &shared), value);
}

}  // namespace

void RunPoolWorker(const UniqueFd& stream, const UniqueFd& journal, std::string_view initializer,
                   std::string_view signature, std::string_view arguments, std::vector<UniqueFd> handles,
                   uint64_t max_result_bytes) {
  Worker worker(stream.get(), max_result_bytes);
  std::optional<ResultError> error;
  if (const absl::Status opened = worker.OpenJournal(journal.get()); !opened.ok()) {
    error = StatusError(opened);
  } else if (!initializer.empty()) {
    error = RunInitializer(initializer, signature, arguments, std::move(handles));
  }
  if (error.has_value()) {
    worker.Say({.kind = PoolReplyKind::kInitializerFailed}, ErrorBytes(*std::move(error)));
    return;
  }
  worker.Say({.kind = PoolReplyKind::kReady}, {});
  worker.Serve();
}

}  // namespace brood::internal

BROOD_TARGET_AS("brood.executor_worker", brood::internal::RunPoolWorker);
