#include "serialization/framing.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "serialization/framing_io.h"

namespace brood {
namespace {

using internal::ReadUpTo;
using internal::WriteAll;

static_assert(std::endian::native == std::endian::little, "messages stay on one machine, and are little endian");

constexpr uint32_t kMagic = 0x4d445242;  // "BRDM"
constexpr uint16_t kVersion = 1;

struct Header {
  uint32_t magic = kMagic;
  uint16_t version = kVersion;
  uint16_t type = 0;
  uint64_t length = 0;
  uint64_t body_checksum = 0;
  uint64_t header_checksum = 0;  // Of all that stands before it.
};
static_assert(sizeof(Header) == kFrameHeaderBytes);

// FNV-1a. Each step is a bijection of the state, so two inputs that differ in one byte never have the same sum.
uint64_t Checksum(const char* data, size_t size) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < size; ++i) {
    hash ^= static_cast<unsigned char>(data[i]);
    hash *= 0x100000001b3;
  }
  return hash;
}

uint64_t HeaderChecksum(const Header& header) {
  return Checksum(reinterpret_cast<const char*>(&header), offsetof(Header, header_checksum));
}

Header MakeHeader(MessageType type, std::string_view body) {
  Header header;
  header.type = static_cast<uint16_t>(type);
  header.length = body.size();
  header.body_checksum = Checksum(body.data(), body.size());
  header.header_checksum = HeaderChecksum(header);
  return header;
}

absl::Status CheckHeader(const Header& header, MessageType type, uint64_t max_bytes, std::string_view what) {
  if (header.magic != kMagic) return absl::DataLossError(absl::StrCat("read ", what, ": these bytes are no message"));
  if (header.header_checksum != HeaderChecksum(header)) {
    return absl::DataLossError(absl::StrCat("read ", what, ": the header is damaged (checksum)"));
  }
  if (header.version != kVersion) {
    return absl::InvalidArgumentError(absl::StrCat("read ", what, ": version ", header.version, " of the format, ",
                                                   kVersion, " is known; the peer is another build of brood"));
  }
  if (header.type != static_cast<uint16_t>(type)) {
    return absl::InvalidArgumentError(
        absl::StrCat("read ", what, ": got ", MessageTypeName(static_cast<MessageType>(header.type))));
  }
  if (header.length > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("read ", what, ": ", header.length, " bytes are announced, ", max_bytes, " are allowed"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string MessageTypeName(MessageType type) {
  switch (type) {
    case MessageType::kPreparationData:
      return "preparation data";
    case MessageType::kProcessData:
      return "process data";
    case MessageType::kResult:
      return "result";
    case MessageType::kOutcome:
      return "outcome";
    case MessageType::kJob:
      return "job";
    case MessageType::kRequest:
      return "request";
    case MessageType::kReply:
      return "reply";
  }
  return absl::StrCat("message of type ", static_cast<int>(type));
}

std::string FrameMessage(MessageType type, std::string_view body) {
  const Header header = MakeHeader(type, body);
  std::string bytes;
  bytes.reserve(sizeof(header) + body.size());
  bytes.append(reinterpret_cast<const char*>(&header), sizeof(header));
  bytes.append(body);
  return bytes;
}

absl::Status WriteMessage(int fd, MessageType type, std::string_view body) {
  const Header header = MakeHeader(type, body);
  const std::string what = MessageTypeName(type);
  BROOD_RETURN_IF_ERROR(WriteAll(fd, reinterpret_cast<const char*>(&header), sizeof(header), what));
  return WriteAll(fd, body.data(), body.size(), what);
}

absl::StatusOr<std::string> ReadMessage(int fd, MessageType type, const ReadOptions& options) {
  const std::string what = MessageTypeName(type);
  Header header;
  BROOD_ASSIGN_OR_RETURN(size_t got,
                         ReadUpTo(fd, reinterpret_cast<char*>(&header), sizeof(header), options.deadline, what));
  if (got == 0) return absl::OutOfRangeError(absl::StrCat("read ", what, ": the other end closed without a message"));
  // The magic number is judged as far as it came: ten bytes of garbage are garbage, not the beginning of a message.
  if (got < sizeof(header) && std::memcmp(&header, &kMagic, std::min(got, sizeof(kMagic))) == 0) {
    return absl::DataLossError(
        absl::StrCat("read ", what, ": ended after ", got, " of ", sizeof(header), " bytes of the header"));
  }
  BROOD_RETURN_IF_ERROR(CheckHeader(header, type, options.max_bytes, what));
  std::string body;
  // Grows with what comes: a length that is a lie costs its sender, not us.
  constexpr size_t kChunkBytes = size_t{1} << 20;
  while (body.size() < header.length) {
    const size_t before = body.size();
    const size_t want = static_cast<size_t>(std::min<uint64_t>(header.length - before, kChunkBytes));
    body.resize(before + want);
    BROOD_ASSIGN_OR_RETURN(got, ReadUpTo(fd, body.data() + before, want, options.deadline, what));
    if (got < want) {
      return absl::DataLossError(
          absl::StrCat("read ", what, ": ended after ", before + got, " of ", header.length, " bytes"));
    }
  }
  if (Checksum(body.data(), body.size()) != header.body_checksum) {
    return absl::DataLossError(absl::StrCat("read ", what, ": the ", body.size(), " bytes are damaged (checksum)"));
  }
  return body;
}

}  // namespace brood
