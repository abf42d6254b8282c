#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "launcher/remote_launch.h"
#include "launcher/serve_protocol.h"
#include "serialization/serve_status_generated.h"
#include "serialization/verify.h"
#include "serve/status.h"

namespace brood {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;

flatbuffers::Offset<fbs::ServeHistogram> Write(Builder& builder, const Histogram& histogram) {
  const auto counts = builder.CreateVector(histogram.counts.data(), histogram.counts.size());
  return fbs::CreateServeHistogram(builder, counts, static_cast<uint64_t>(absl::ToInt64Nanoseconds(histogram.sum)));
}

absl::Status Read(const fbs::ServeHistogram* from, Histogram& to) {
  if (from == nullptr || from->counts() == nullptr || from->counts()->size() != to.counts.size() || !IsAligned(from->counts())) {
    return absl::DataLossError("status: a histogram of other bounds");
  }
  std::copy(from->counts()->begin(), from->counts()->end(), to.counts.begin());
  to.sum = absl::Nanoseconds(static_cast<int64_t>(from->sum_ns()));
  return absl::OkStatus();
}

// 0 where a server of another version says less.
uint64_t NumberAt(const flatbuffers::Vector<uint64_t>* numbers, flatbuffers::uoffset_t i) {
  return numbers != nullptr && IsAligned(numbers) && i < numbers->size() ? numbers->Get(i) : 0;
}

}  // namespace

std::string EncodeServeStatus(const ServeStatus& status) {
  // Taken apart, so that a new field does not compile until it travels.
  const auto& [version, uptime, connections, waiting, live, born, refused, ended, start, run, serve_bytes, forkserver_bytes,
               servers, keepers, templates, rotations, rotation_failures, rotation_failure, replaced] = status;
  Builder builder(1024);
  std::vector<flatbuffers::Offset<fbs::ServeEnded>> written;
  for (const auto& [word, count] : ended) written.push_back(fbs::CreateServeEnded(builder, builder.CreateString(word), count));
  const auto written_version = builder.CreateString(version);
  const auto written_ended = builder.CreateVector(written);
  const auto written_start = Write(builder, start);
  const auto written_run = Write(builder, run);
  std::vector<flatbuffers::Offset<fbs::ServeTemplateStatus>> written_templates;
  for (const auto& [path, running, children, time, memory_bytes, preload] : templates) {
    const auto written_path = builder.CreateString(path);
    std::vector<std::string> names;
    std::vector<uint64_t> times, bytes;
    for (const auto& [name, taken, left] : preload) {
      names.push_back(name);
      times.push_back(static_cast<uint64_t>(absl::ToInt64Nanoseconds(taken)));
      bytes.push_back(left);
    }
    const auto written_preload = builder.CreateVectorOfStrings(names);
    const auto written_times = builder.CreateVector(times);
    const auto written_bytes = builder.CreateVector(bytes);
    written_templates.push_back(fbs::CreateServeTemplateStatus(builder, written_path, running, children,
                                                               static_cast<uint64_t>(absl::ToInt64Nanoseconds(time)), memory_bytes, written_preload,
                                                               written_times, written_bytes));
  }
  const auto templates_at = builder.CreateVector(written_templates);
  constexpr size_t kMaxFailureBytes = 4096;  // All has to be below kMaxBytes.
  const auto written_failure = builder.CreateString(rotation_failure.substr(0, kMaxFailureBytes));
  fbs::FinishServeStatusBuffer(
      builder, fbs::CreateServeStatus(builder, written_version, static_cast<uint64_t>(absl::ToInt64Nanoseconds(uptime)),
                                      connections, waiting, live, born, refused, written_ended, written_start, written_run,
                                      serve_bytes, forkserver_bytes, servers, keepers, templates_at, rotations, rotation_failures,
                                      written_failure, replaced));
  return std::string(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize());
}

absl::StatusOr<ServeStatus> DecodeServeStatus(std::string_view bytes) {
  constexpr size_t kMaxBytes = size_t{64} << 10;
  if (bytes.size() > kMaxBytes) return absl::DataLossError("status: too long");
  const AlignedBytes aligned(bytes);
  BROOD_ASSIGN_OR_RETURN(const auto* const from,
                         Verified<fbs::ServeStatus>(aligned.view(), fbs::ServeStatusIdentifier(), "status"));
  ServeStatus status;
  status.version = View(from->version());
  status.uptime = absl::Nanoseconds(static_cast<int64_t>(from->uptime_ns()));
  status.connections = from->connections();
  status.waiting = from->waiting();
  status.live = from->live();
  status.born = from->born();
  status.refused = from->refused();
  if (from->ended() != nullptr) {
    for (const fbs::ServeEnded* one : *from->ended()) status.ended[std::string(View(one->status()))] = one->count();
  }
  BROOD_RETURN_IF_ERROR(Read(from->start(), status.start));
  BROOD_RETURN_IF_ERROR(Read(from->run(), status.run));
  status.serve_bytes = from->serve_bytes();
  status.forkserver_bytes = from->forkserver_bytes();
  status.servers = from->servers();
  status.keepers = from->keepers();
  status.rotations = from->rotations();
  status.rotation_failures = from->rotation_failures();
  status.rotation_failure = View(from->rotation_failure());
  status.replaced = from->replaced();
  if (from->templates() != nullptr) {
    for (const fbs::ServeTemplateStatus* one : *from->templates()) {
      ServeTemplateStatus& read = status.templates.emplace_back();
      read.path = View(one->path());
      read.running = one->running();
      read.children = one->children();
      read.time = absl::Nanoseconds(static_cast<int64_t>(one->time_ns()));
      read.memory_bytes = one->memory_bytes();
      if (one->preload() == nullptr) continue;
      for (flatbuffers::uoffset_t i = 0; i < one->preload()->size(); ++i) {
        read.preload.push_back({.name = std::string(View(one->preload()->Get(i))),
                                .time = absl::Nanoseconds(static_cast<int64_t>(NumberAt(one->preload_time_ns(), i))),
                                .memory_bytes = NumberAt(one->preload_bytes(), i)});
      }
    }
  }
  return status;
}

absl::StatusOr<ServeStatus> StatusOfServer(const std::string& path, std::optional<uint32_t> server_uid) {
  BROOD_ASSIGN_OR_RETURN(const std::string bytes,
                         internal::AskServer(path, server_uid, internal::ServeTag::Kind::kAskStatus, internal::ServeTag::Kind::kStatus));
  return DecodeServeStatus(bytes);
}

}  // namespace brood
