//! Optional scalars, which the API wraps into messages of their own.

use crate::api::{NullableBool, NullableInt32, NullableInt64};

impl From<i64> for NullableInt64 {
    fn from(value: i64) -> Self {
        Self { value }
    }
}

impl From<NullableInt64> for i64 {
    fn from(nullable: NullableInt64) -> Self {
        nullable.value
    }
}

impl From<i32> for NullableInt32 {
    fn from(value: i32) -> Self {
        Self { value }
    }
}

impl From<NullableInt32> for i32 {
    fn from(nullable: NullableInt32) -> Self {
        nullable.value
    }
}

impl From<bool> for NullableBool {
    fn from(value: bool) -> Self {
        Self { value }
    }
}

impl From<NullableBool> for bool {
    fn from(nullable: NullableBool) -> Self {
        nullable.value
    }
}
