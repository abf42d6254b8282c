#include "ipc/region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstring>

#include "gtest/gtest.h"
#include "ipc/region_file.h"
#include "ipc/talking_child.h"

namespace brood::internal {
namespace {

absl::Status AttachStatus(UniqueFd fd) { return Region::Attach(std::move(fd), RegionKind::kLock).status(); }

// A file of memory with these seals that holds a header, changed by `change`.
UniqueFd Forged(
    int seals, void (*change)(RegionHeader&) = [](RegionHeader&) {}, size_t size = 4096) {
  const std::shared_ptr<Region> real = Region::Create(RegionKind::kLock, {}, 4096 - Region::kHeaderBytes).value();
  RegionHeader header = {};
  EXPECT_TRUE(ReadRegionHeader(real->Descriptor()->get(), header).ok());
  change(header);
  UniqueFd fd(memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(size)), 0);
  EXPECT_EQ(pwrite(fd.get(), &header, sizeof(header), 0), static_cast<ssize_t>(sizeof(header)));
  EXPECT_EQ(fcntl(fd.get(), F_ADD_SEALS, seals), 0);
  return fd;
}
constexpr int kGoodSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

TEST(RegionTest, CannotShrinkGrowOrBeSealedFurther) {
  const UniqueFd fd = Region::Create(RegionKind::kLock, {}, 8).value()->Descriptor().value();
  EXPECT_NE(ftruncate(fd.get(), 0), 0);
  EXPECT_NE(ftruncate(fd.get(), 1 << 20), 0);
  EXPECT_NE(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
  EXPECT_EQ(fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
}

TEST(RegionTest, RefusesDescriptorsThatAreNoRegion) {
  EXPECT_FALSE(AttachStatus(UniqueFd()).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(AttachStatus(UniqueFd(open("/dev/zero", O_RDWR | O_CLOEXEC)))));
  EXPECT_TRUE(absl::IsInvalidArgument(AttachStatus(UniqueFd(open("/proc/self/exe", O_RDONLY | O_CLOEXEC)))));
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd other_end(ends[1]);
  EXPECT_TRUE(absl::IsInvalidArgument(AttachStatus(UniqueFd(ends[0]))));
  UniqueFd empty(memfd_create("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(fcntl(empty.get(), F_ADD_SEALS, kGoodSeals), 0);
  EXPECT_TRUE(absl::IsInvalidArgument(AttachStatus(std::move(empty))));
}

TEST(RegionTest, AcceptsAForgedCopyOnlyIfItIsSealedAndWhole) {
  EXPECT_TRUE(AttachStatus(Forged(kGoodSeals)).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(AttachStatus(Forged(0))));
  EXPECT_TRUE(absl::IsInvalidArgument(AttachStatus(Forged(F_SEAL_GROW | F_SEAL_SEAL))));
  EXPECT_TRUE(absl::IsInvalidArgument(AttachStatus(Forged(F_SEAL_SHRINK | F_SEAL_GROW))));
  EXPECT_TRUE(absl::IsInvalidArgument(AttachStatus(Forged(kGoodSeals | F_SEAL_WRITE))));
  const auto bad = [](void (*change)(RegionHeader&)) {
    return absl::IsInvalidArgument(AttachStatus(Forged(kGoodSeals, change)));
  };
  EXPECT_TRUE(bad([](RegionHeader& header) { header.magic ^= 1; }));
  EXPECT_TRUE(bad([](RegionHeader& header) { ++header.version; }));
  EXPECT_TRUE(bad([](RegionHeader& header) { header.kind = RegionKind::kQueue; }));
  EXPECT_TRUE(bad([](RegionHeader& header) { header.kind = static_cast<RegionKind>(999); }));
  EXPECT_TRUE(bad([](RegionHeader& header) { ++header.size; }));
  EXPECT_TRUE(bad([](RegionHeader& header) { header.payload_offset = 64; }));
  EXPECT_TRUE(bad([](RegionHeader& header) { header.payload_offset = 8192; }));
  EXPECT_TRUE(bad([](RegionHeader& header) { header.payload_offset = 257; }));
  EXPECT_TRUE(absl::IsInvalidArgument(AttachStatus(Forged(
      kGoodSeals, [](RegionHeader&) {}, 100))));
}

TEST(RegionTest, ACounterThatAPeerHasDamagedIsAnErrorAndNotASharedId) {
  EXPECT_TRUE(
      absl::IsDataLoss(AttachStatus(Forged(kGoodSeals, [](RegionHeader& header) { header.last_id = UINT64_MAX; }))));
  // A peer sets the counter back: the number that it would give is taken.
  const std::shared_ptr<Region> region = Region::Create(RegionKind::kLock, {}, 8).value();
  reinterpret_cast<RegionHeader*>(region->payload() - Region::kHeaderBytes)->last_id = 0;
  const uint64_t parents = (*region->Self())->id;
  TalkingChild child([&](const TalkingChild::Parent&) {
    BROOD_REQUIRE((*region->Self())->id != parents);
    return 0;
  });
  EXPECT_EQ(child.Join(), 0);
}

TEST(RegionTest, AMemberLivesAsLongAsItsProcess) {
  const std::shared_ptr<Region> region = Region::Create(RegionKind::kLock, {}, 8).value();
  TalkingChild child([&](const TalkingChild::Parent& parent) {
    parent.Say(static_cast<char>((*region->Self())->id));
    parent.Sleep();
    return 0;
  });
  const auto id = static_cast<uint64_t>(child.Await());
  EXPECT_NE(id, (*region->Self())->id);
  EXPECT_TRUE(*region->IsAlive(id));
  EXPECT_TRUE(*region->IsAlive((*region->Self())->id));
  EXPECT_FALSE(*region->IsAlive(id + 1));
  EXPECT_FALSE(*region->IsAlive(UINT64_MAX));
  child.Kill();
  EXPECT_FALSE(*region->IsAlive(id));
}

TEST(RegionTest, AChildThatDropsItsObjectsClosesNobodysDescriptor) {
  auto region = Region::Create(RegionKind::kLock, {}, 8).value();
  const int number = (*region->Self())->fd.get();
  TalkingChild child([&](const TalkingChild::Parent&) {
    close_range(3, ~0U, 0);
    BROOD_REQUIRE(dup2(0, number) == number);
    region.reset();
    BROOD_REQUIRE(fcntl(number, F_GETFD) >= 0);
    return 0;
  });
  EXPECT_EQ(child.Join(), 0);
}

TEST(RegionTest, MoreThanTheLimitOfAFilesSizeIsAnErrorAndNotASignal) {
  TalkingChild child([&](const TalkingChild::Parent&) {
    const rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
    BROOD_REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    BROOD_REQUIRE(absl::IsResourceExhausted(Region::Create(RegionKind::kLock, {}, 2 << 20).status()));
    BROOD_REQUIRE_OK(Region::Create(RegionKind::kLock, {}, 1 << 19).status());
    return 0;
  });
  EXPECT_EQ(child.Join(), 0);
}

TEST(RegionTest, AnAbsurdSizeIsResourceExhausted) {
  EXPECT_TRUE(absl::IsResourceExhausted(Region::Create(RegionKind::kLock, {}, SIZE_MAX).status()));
  EXPECT_FALSE(Region::Create(RegionKind::kLock, {}, SIZE_MAX / 2).ok());
}

}  // namespace
}  // namespace brood::internal
