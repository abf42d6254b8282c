#include "launcher/outcome_flatbuffer.h"

#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "launcher/outcome_samples.h"
#include "serialization/field_coverage.h"
#include "serialization/outcome_generated.h"

namespace brood {
namespace {

std::string Bytes(const flatbuffers::FlatBufferBuilder& builder) {
  return std::string(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize());
}

// Fails when a field is added to the schema and EncodeOutcome, or the samples, do not know of it.
TEST(OutcomeFlatbufferTest, EveryFieldOfTheSchemaIsWritten) {
  std::set<std::string> written;
  for (const Outcome& outcome : SampleOutcomes()) {
    written.merge(SetFields(EncodeOutcome(outcome), fbs::OutcomeTypeTable()));
  }
  EXPECT_EQ(written, FieldsOf(fbs::OutcomeTypeTable()));
}

// Fails when a field is written and DecodeOutcome does not read it.
TEST(OutcomeFlatbufferTest, WhatIsWrittenIsReadBack) {
  for (const Outcome& outcome : SampleOutcomes()) {
    const std::string bytes = EncodeOutcome(outcome);
    const absl::StatusOr<Outcome> read = DecodeOutcome(bytes);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(EncodeOutcome(*read), bytes) << outcome.ToString();
    EXPECT_EQ(read->ending.index(), outcome.ending.index());
    EXPECT_EQ(read->ToString(), outcome.ToString());
    EXPECT_EQ(read->exit_code(), outcome.exit_code());
    EXPECT_EQ(read->start, outcome.start);
    EXPECT_EQ(read->usage.wall_time, outcome.usage.wall_time);
    EXPECT_EQ(read->limits_hit, outcome.limits_hit);
    EXPECT_EQ(read->enforced, outcome.enforced);
    EXPECT_EQ(read->kept_groups, outcome.kept_groups);
    EXPECT_EQ(read->notified.size(), outcome.notified.size());
  }
}

TEST(OutcomeFlatbufferTest, BytesMayLieAnywhere) {
  const std::string bytes = " " + EncodeOutcome(SampleOutcomes()[0]);
  EXPECT_TRUE(DecodeOutcome(std::string_view(bytes).substr(1)).ok());
}

TEST(OutcomeFlatbufferTest, EveryTruncationIsOneError) {
  for (const Outcome& outcome : SampleOutcomes()) {
    const std::string bytes = EncodeOutcome(outcome);
    for (size_t size = 0; size < bytes.size(); ++size) {
      const absl::StatusOr<Outcome> read = DecodeOutcome(std::string_view(bytes).substr(0, size));
      if (read.ok()) {
        // Only padding was cut off.
        EXPECT_EQ(EncodeOutcome(*read), bytes) << size;
        continue;
      }
      EXPECT_EQ(read.status().code(), absl::StatusCode::kDataLoss);
      EXPECT_EQ(read.status().message().substr(0, 9), "outcome: ") << read.status();
    }
  }
}

// A flipped bit may give another valid outcome; it must never give anything but an outcome or one error.
TEST(OutcomeFlatbufferTest, EveryFlippedBitGivesAnOutcomeOrOneError) {
  for (const Outcome& outcome : SampleOutcomes()) {
    std::string bytes = EncodeOutcome(outcome);
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
      const absl::StatusOr<Outcome> read = DecodeOutcome(bytes);
      if (read.ok()) {
        EXPECT_EQ(DecodeOutcome(EncodeOutcome(*read)).status(), absl::OkStatus()) << bit;
      } else {
        EXPECT_EQ(read.status().code(), absl::StatusCode::kDataLoss) << read.status();
      }
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    }
  }
}

// The verifier of FlatBuffers lets them pass, and reading them is undefined.
TEST(OutcomeFlatbufferTest, MisalignedElementsAreRefused) {
  std::set<std::string> said;
  // Buffers grow towards their beginning: what is written later moves the vector.
  for (const size_t later : {1, 2}) {
    flatbuffers::FlatBufferBuilder builder;
    builder.CreateVector(std::vector<uint32_t>{0, 0, 0});
    const flatbuffers::Offset<flatbuffers::Vector<int64_t>> groups(builder.CreateVector(std::vector<uint32_t>{1}).o);
    builder.CreateVector(std::vector<uint32_t>(later));
    const auto exited = fbs::CreateExited(builder, 0).Union();
    fbs::FinishOutcomeBuffer(builder, fbs::CreateOutcome(builder, fbs::Ending::Exited, exited, nullptr,
                                                         flatbuffers::nullopt, 0, 0, groups));
    said.insert(std::string(DecodeOutcome(Bytes(builder)).status().message()));
  }
  EXPECT_EQ(said, (std::set<std::string>{"", "outcome: kept_groups: misaligned"}));
}

TEST(OutcomeFlatbufferTest, WhatCannotBeIsRefused) {
  flatbuffers::FlatBufferBuilder exit_code;
  fbs::FinishOutcomeBuffer(
      exit_code, fbs::CreateOutcome(exit_code, fbs::Ending::Exited, fbs::CreateExited(exit_code, 256).Union()));
  EXPECT_EQ(DecodeOutcome(Bytes(exit_code)).status().message(), "outcome: exited: code: 256 is not in 0 to 255");

  flatbuffers::FlatBufferBuilder signal;
  fbs::FinishOutcomeBuffer(signal,
                           fbs::CreateOutcome(signal, fbs::Ending::Signaled, fbs::CreateSignaled(signal, -9).Union()));
  EXPECT_EQ(DecodeOutcome(Bytes(signal)).status().message(), "outcome: signaled: signal: -9 is no signal");

  flatbuffers::FlatBufferBuilder limit;
  fbs::FinishOutcomeBuffer(limit, fbs::CreateOutcome(limit, fbs::Ending::LimitHit,
                                                     fbs::CreateLimitHit(limit, limit.CreateString("luck")).Union()));
  EXPECT_EQ(DecodeOutcome(Bytes(limit)).status().message(), "outcome: limit hit: limit: unknown layer \"luck\"");

  flatbuffers::FlatBufferBuilder args;
  const auto syscall = args.CreateString("mount");
  const auto five = args.CreateVector(std::vector<uint64_t>(5));
  fbs::FinishOutcomeBuffer(
      args, fbs::CreateOutcome(args, fbs::Ending::Violation, fbs::CreateViolation(args, syscall, 165, five).Union()));
  EXPECT_EQ(DecodeOutcome(Bytes(args)).status().message(), "outcome: violation: args: a system call has six");

  flatbuffers::FlatBufferBuilder newer;
  fbs::FinishOutcomeBuffer(newer,
                           fbs::CreateOutcome(newer, static_cast<fbs::Ending>(99), fbs::CreateTimedOut(newer).Union()));
  EXPECT_EQ(DecodeOutcome(Bytes(newer)).status().message(), "outcome: ending: unknown kind 99");

  EXPECT_EQ(DecodeOutcome(std::string(kMaxOutcomeBytes + 1, 'x')).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace brood
