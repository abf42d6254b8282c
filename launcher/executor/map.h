// What Executor::Map gives. See launcher/executor.h.
#ifndef BROOD_LAUNCHER_EXECUTOR_MAP_H_
#define BROOD_LAUNCHER_EXECUTOR_MAP_H_

#include <concepts>
#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>

#include "launcher/executor/arguments.h"
#include "launcher/executor/future.h"
#include "launcher/executor/map_feed.h"

namespace brood {

// The results of a Map, one at a time, while others are still computed. For one thread. It keeps what it needs of the
// executor; its destruction cancels what was not begun.
template <typename R>
class MapResults {
 public:
  struct Element {
    size_t index = 0;                  // Its place in the input.
    internal::StatusOrVoid<R> result;  // Errors: those of Future::Get.
  };

  explicit MapResults(std::unique_ptr<internal::MapFeed> feed) : feed_(std::move(feed)) {}

  // Waits for the next result; nothing after the last one.
  std::optional<Element> Next() {
    if (!feed_->Await()) return std::nullopt;
    std::optional<Element> element;
    if (feed_->error().ok()) {
      element.emplace(Element{feed_->index(), internal::DecodeResult<R>(feed_->bytes())});
    } else {
      element.emplace(Element{feed_->index(), feed_->error()});
    }
    feed_->Advance();
    return element;
  }

  // for (auto& [index, result] : executor.Map(Square, numbers)) ...
  class Iterator {
   public:
    using value_type = Element;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(MapResults* from) : from_(from), element_(from->Next()) {}
    Element& operator*() { return *element_; }
    Iterator& operator++() {
      element_ = from_->Next();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return !element_.has_value(); }

   private:
    MapResults* from_;
    std::optional<Element> element_;
  };
  Iterator begin() { return Iterator(this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  std::unique_ptr<internal::MapFeed> feed_;
};

namespace internal {

template <typename View, typename... Parameters>
class RangeSource : public MapSource {
 public:
  explicit RangeSource(View view) : view_(std::move(view)) {
    if constexpr (std::ranges::sized_range<View>) left_ = static_cast<size_t>(std::ranges::size(view_));
  }

  bool WriteNext(WireWriter& to) override {
    if (!at_.has_value()) at_.emplace(std::ranges::begin(view_));
    if (*at_ == std::ranges::end(view_)) return false;
    constexpr void (*kParameters)(Parameters...) = nullptr;
    if constexpr (sizeof...(Parameters) == 1) {
      WriteArguments(to, kParameters, **at_);
    } else {
      std::apply([&to](const auto&... values) { WriteArguments(to, kParameters, values...); }, **at_);
    }
    ++*at_;
    if (left_.has_value() && *left_ > 0) --*left_;
    return true;
  }

  std::optional<size_t> Left() const override { return left_; }

 private:
  View view_;
  std::optional<std::ranges::iterator_t<View>> at_;
  std::optional<size_t> left_;
};

}  // namespace internal
}  // namespace brood

#endif  // BROOD_LAUNCHER_EXECUTOR_MAP_H_
