#include "launcher/serve_protocol.h"

#include <algorithm>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "serialization/serve_generated.h"
#include "serialization/verify.h"

namespace brood::internal {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

constexpr int kNoNice = -1000;
constexpr size_t kMaxLimits = 64;
constexpr size_t kMaxWords = size_t{1} << 17;  // Of argv, and of the environment.

// Where a descriptor is in the list that is sent; one that is there already is not sent twice.
class Places {
 public:
  int Of(int fd) {
    if (fd < 0) return -1;
    const auto [at, added] = places_.emplace(fd, static_cast<int>(fds_.size()));
    if (added) fds_.push_back(fd);
    return at->second;
  }
  std::vector<int> Take() { return std::move(fds_); }

 private:
  std::map<int, int> places_;
  std::vector<int> fds_;
};

absl::Status Invalid(std::string_view field, std::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat("request: ", field, ": expected ", expected));
}

class Decoder {
 public:
  explicit Decoder(const std::vector<UniqueFd>& fds) : fds_(fds), used_(fds.size()) {}

  absl::StatusOr<RemoteLaunch> Decode(const fbs::ServeLaunch& from) {
    RemoteLaunch launch;
    launch.name = View(from.name());
    BROOD_ASSIGN_OR_RETURN(launch.argv, Words(from.argv(), "argv"));
    BROOD_ASSIGN_OR_RETURN(launch.environment, Words(from.environment(), "environment"));
    for (const std::string& entry : launch.environment) {
      // A name alone would stand for the server's own variable.
      if (entry.find('=') == std::string::npos || entry[0] == '=') return Invalid("environment", "NAME=VALUE");
    }
    BROOD_ASSIGN_OR_RETURN(launch.message, Fd(from.message(), "message"));
    BROOD_ASSIGN_OR_RETURN(launch.result, Fd(from.result(), "result"));
    BROOD_ASSIGN_OR_RETURN(launch.control, Fd(from.control(), "control"));
    if (launch.control < 0) return Invalid("control", "a socket");
    if (launch.argv.empty() == (launch.message < 0)) return Invalid("argv, message", "one of the two");
    if (launch.is_function() != (launch.result >= 0)) return Invalid("result", "a descriptor for a function, and for nothing else");
    if (from.policy() != nullptr) launch.policy = std::string(View(from.policy()));
    launch.cwd = View(from.cwd());
    if (launch.cwd.empty() || launch.cwd[0] != '/' || launch.cwd.find('\0') != std::string::npos) return Invalid("cwd", "an absolute path");
    launch.cwd_optional = from.cwd_optional();
    launch.wait_for_tree = from.wait_for_tree();
    launch.fresh = from.fresh();
    launch.violation_stack = from.violation_stack();
    launch.template_path = View(from.template_path());
    if (!launch.template_path.empty() && !launch.is_function()) return Invalid("template_path", "a function; programs come from no template");
    if (from.file_mask() < -1 || from.file_mask() > 0777) return Invalid("file_mask", "0 to 0777");
    if (from.file_mask() >= 0) launch.file_mask = static_cast<uint32_t>(from.file_mask());
    if (from.nice() != kNoNice && (from.nice() < -20 || from.nice() > 19)) return Invalid("nice", "-20 to 19");
    if (from.nice() != kNoNice) launch.nice = from.nice();
    if (from.limits() != nullptr) {
      if (from.limits()->size() > kMaxLimits) return Invalid("limits", absl::StrCat("at most ", kMaxLimits));
      for (const fbs::ServeLimit* one : *from.limits()) {
        if (one->soft() > one->hard()) return Invalid("limits", "none whose soft one is above its hard one");
        launch.limits.push_back({.resource = one->resource(), .soft = one->soft(), .hard = one->hard()});
      }
    }
    BROOD_RETURN_IF_ERROR(Streams(from, launch));
    if (from.inherited() != nullptr) {
      for (const fbs::ServeDescriptor* one : *from.inherited()) {
        InheritedFd inherited{.child_fd = one->child()};
        BROOD_ASSIGN_OR_RETURN(inherited.fd, Fd(one->fd(), "inherited"));
        if (inherited.fd < 0) return Invalid("inherited", "a descriptor");
        launch.inherited.push_back(inherited);
      }
    }
    for (const bool used : used_) {
      if (!used) return absl::InvalidArgumentError("request: a descriptor came that it does not name");
    }
    return launch;
  }

 private:
  absl::StatusOr<int> Fd(int place, std::string_view field) {
    if (place == -1) return -1;
    if (place < 0 || static_cast<size_t>(place) >= fds_.size()) return Invalid(field, "a descriptor that came with it");
    used_[static_cast<size_t>(place)] = true;
    return fds_[static_cast<size_t>(place)].get();
  }

  static absl::StatusOr<std::vector<std::string>> Words(const flatbuffers::Vector<Offset<flatbuffers::String>>* from,
                                                        std::string_view field) {
    std::vector<std::string> words;
    if (from == nullptr) return words;
    if (from->size() > kMaxWords) return Invalid(field, absl::StrCat("at most ", kMaxWords, " words"));
    for (const flatbuffers::String* word : *from) {
      words.emplace_back(View(word));
      if (words.back().find('\0') != std::string::npos) return Invalid(field, "no zero byte");
    }
    return words;
  }

  absl::Status Streams(const fbs::ServeLaunch& from, RemoteLaunch& launch) {
    if (from.streams() == nullptr || from.streams()->size() != 3) return Invalid("streams", "three");
    for (unsigned number = 0; number < 3; ++number) {
      const fbs::ServeStream& one = *from.streams()->Get(number);
      RemoteStream& stream = launch.streams[number];
      BROOD_ASSIGN_OR_RETURN(stream.fd, Fd(one.fd(), "streams"));
      stream.keeps = one.keeps();
      stream.keep_bytes = one.keep_bytes();
      stream.merged = one.merged();
      if (stream.merged == (stream.fd >= 0) || (stream.merged && number != 2)) {
        return Invalid("streams", "a descriptor for each, or for standard error `merged`");
      }
      if (stream.keeps && (number == 0 || stream.merged)) return Invalid("streams", "`keeps` of output only");
    }
    return absl::OkStatus();
  }

  const std::vector<UniqueFd>& fds_;
  std::vector<bool> used_;
};

}  // namespace

EncodedRemoteLaunch EncodeRemoteLaunch(const RemoteLaunch& launch) {
  // Taken apart, so that a new field does not compile until it travels.
  const auto& [name, argv, message, result, policy, environment, cwd, cwd_optional, wait_for_tree, fresh, violation_stack, streams,
              inherited, control, template_path, file_mask, nice, limits] = launch;
  Builder builder(4096);
  Places places;
  const auto written_name = builder.CreateString(name);
  const auto written_argv = builder.CreateVectorOfStrings(argv);
  const auto written_environment = builder.CreateVectorOfStrings(environment);
  Offset<flatbuffers::Vector<uint8_t>> written_policy;
  if (policy.has_value()) {
    written_policy = builder.CreateVector(reinterpret_cast<const uint8_t*>(policy->data()), policy->size());
  }
  const auto written_cwd = builder.CreateString(cwd);
  std::vector<Offset<fbs::ServeStream>> written_streams;
  for (const auto& [fd, keeps, keep_bytes, merged] : streams) {
    written_streams.push_back(fbs::CreateServeStream(builder, places.Of(fd), keeps, keep_bytes, merged));
  }
  const auto streams_at = builder.CreateVector(written_streams);
  std::vector<Offset<fbs::ServeDescriptor>> written_inherited;
  for (const auto& [fd, child_fd] : inherited) {
    written_inherited.push_back(fbs::CreateServeDescriptor(builder, places.Of(fd), child_fd));
  }
  const auto inherited_at = builder.CreateVector(written_inherited);
  std::vector<Offset<fbs::ServeLimit>> written_limits;
  for (const auto& [resource, soft, hard] : limits) written_limits.push_back(fbs::CreateServeLimit(builder, resource, soft, hard));
  const auto limits_at = builder.CreateVector(written_limits);
  const auto written_template = builder.CreateString(template_path);
  fbs::FinishServeLaunchBuffer(
      builder, fbs::CreateServeLaunch(builder, written_name, written_argv, places.Of(message), places.Of(result),
                                      written_policy, written_environment, written_cwd, cwd_optional, wait_for_tree, fresh, violation_stack, streams_at,
                                      inherited_at, places.Of(control), written_template,
                                      file_mask.has_value() ? static_cast<int>(*file_mask) : -1, nice.value_or(kNoNice), limits_at));
  return {std::string(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()), places.Take()};
}

absl::StatusOr<RemoteLaunch> DecodeRemoteLaunch(std::string_view bytes, const std::vector<UniqueFd>& fds) {
  const absl::StatusOr<const fbs::ServeLaunch*> launch =
      Verified<fbs::ServeLaunch>(bytes, fbs::ServeLaunchIdentifier(), "request");
  if (!launch.ok()) return absl::InvalidArgumentError(launch.status().message());
  return Decoder(fds).Decode(**launch);
}

std::string EncodeRefusal(const absl::Status& status) {
  return absl::StrCat(static_cast<int>(status.code()), " ", status.message());
}

absl::Status DecodeRefusal(std::string_view bytes) {
  const size_t split = std::min(bytes.find(' '), bytes.size());
  int code = 0;
  if (!absl::SimpleAtoi(bytes.substr(0, split), &code) || code <= 0 || code > 16 || split == bytes.size()) {
    return absl::DataLossError("the server refused the request and said nothing readable");
  }
  return absl::Status(static_cast<absl::StatusCode>(code), bytes.substr(split + 1));
}

}  // namespace brood::internal
