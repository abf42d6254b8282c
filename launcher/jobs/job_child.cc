#include "launcher/jobs/job_child.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bootstrap/error_report.h"
#include "bootstrap/target.h"
#include "launcher/executor/call_target.h"
#include "launcher/executor/protocol.h"
#include "launcher/jobs/job_link.h"
#include "serialization/messages.h"
#include "serialization/wire.h"

namespace brood::internal {
namespace {

void Idle() {}
BROOD_TARGET_AS("brood.idle_job", Idle);

// False at the end of the stream, however it came.
bool ReadAll(int socket, char* to, size_t size) {
  while (size > 0) {
    const ssize_t n = read(socket, to, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    to += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

}  // namespace

bool ReadJob(int socket, std::string& job) {
  // A small one comes whole with one read(2).
  char first[4096];
  size_t have = 0;
  while (have < sizeof(JobRequest)) {
    const ssize_t n = read(socket, first + have, sizeof(first) - have);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    have += static_cast<size_t>(n);
  }
  JobRequest header;
  memcpy(&header, first, sizeof(header));
  const uint64_t rest = uint64_t{header.name_bytes} + header.signature_bytes + header.argument_bytes;
  if (header.magic != kJobMagic || rest > 2 * kMaxJobBytes || have > sizeof(header) + rest) return false;
  job.resize(sizeof(header) + rest);
  memcpy(job.data(), first, have);
  return ReadAll(socket, job.data() + have, job.size() - have);
}

std::string RunJob(std::string_view job, uint64_t max_result_bytes) {
  JobRequest header;
  memcpy(&header, job.data(), sizeof(header));
  job.remove_prefix(sizeof(header));
  const std::string_view name = job.substr(0, header.name_bytes);
  const std::string_view signature = job.substr(header.name_bytes, header.signature_bytes);
  const std::string_view arguments = job.substr(header.name_bytes + header.signature_bytes);
  WireWriter body;
  body.Number(uint32_t{0});
  const absl::StatusOr<const TargetEntry*> target = FindTargetAs(name, signature);
  std::optional<ResultError> error =
      target.ok() ? CallTarget(**target, WireReader(arguments), body) : StatusError(target.status());
  if (!error.has_value() && !body.TakeHandles().empty()) {
    error = StatusError(absl::InvalidArgumentError("a result cannot carry descriptors"));
  }
  if (!error.has_value() && body.size() - sizeof(uint32_t) > max_result_bytes) {
    error = StatusError(absl::ResourceExhaustedError(
        absl::StrCat("the result takes ", body.size() - sizeof(uint32_t), " bytes, ", max_result_bytes, " are allowed")));
  }
  if (error.has_value()) {
    const std::string bytes = EncodeResult({.value = std::nullopt, .error = *std::move(error)});
    body.Truncate(sizeof(uint32_t));
    body.Raw(bytes.data(), bytes.size());
    body.Overwrite(0, static_cast<uint32_t>(bytes.size()) | kPoolErrorBit);
  } else {
    body.Overwrite(0, static_cast<uint32_t>(body.size() - sizeof(uint32_t)));
  }
  return JobReplyBytes(JobReplyKind::kResult, body.bytes());
}

std::string IdleJob() { return EncodeJob(reinterpret_cast<AnyFunction>(&Idle), "").value_or(""); }

std::string JobReplyBytes(JobReplyKind kind, std::string_view body) {
  JobReply reply;
  reply.kind = kind;
  reply.body_bytes = body.size();
  return absl::StrCat(std::string_view(reinterpret_cast<const char*>(&reply), sizeof(reply)), body);
}

void SendAll(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(socket, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return;  // Not of a socket whose other end is gone: that is SIGPIPE, and our end.
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace brood::internal
