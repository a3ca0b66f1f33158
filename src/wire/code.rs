//! The status codes that gRPC and Connect share.

use filters::api::RpcCode;
use http::StatusCode;

/// Declares [`Code`], its number in gRPC, its word in Connect and the HTTP status that Connect gives it.
macro_rules! codes {
    ($($name:ident = $number:literal, $word:literal, $status:literal;)*) => {
        /// Why a call failed. (grpc.github.io/grpc/core/md_doc_statuscodes.html, connectrpc.com/docs/protocol)
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names are the standard's")]
        pub enum Code { $($name = $number,)* }

        impl Code {
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word in Connect.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The code of a number in `grpc-status`; none for 0, which is success. What no standard knows is
            /// `unknown`.
            #[must_use]
            pub const fn from_grpc(number: u32) -> Option<Self> {
                match number {
                    0 => None,
                    $($number => Some(Self::$name),)*
                    _ => Some(Self::Unknown),
                }
            }

            /// The status of a unary answer in Connect.
            #[must_use]
            pub fn http_status(self) -> StatusCode {
                let status = match self { $(Self::$name => $status,)* };
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    };
}

codes! {
    Canceled = 1, "canceled", 499;
    Unknown = 2, "unknown", 500;
    InvalidArgument = 3, "invalid_argument", 400;
    DeadlineExceeded = 4, "deadline_exceeded", 504;
    NotFound = 5, "not_found", 404;
    AlreadyExists = 6, "already_exists", 409;
    PermissionDenied = 7, "permission_denied", 403;
    ResourceExhausted = 8, "resource_exhausted", 429;
    FailedPrecondition = 9, "failed_precondition", 400;
    Aborted = 10, "aborted", 409;
    OutOfRange = 11, "out_of_range", 400;
    Unimplemented = 12, "unimplemented", 501;
    Internal = 13, "internal", 500;
    Unavailable = 14, "unavailable", 503;
    DataLoss = 15, "data_loss", 500;
    Unauthenticated = 16, "unauthenticated", 401;
}

impl Code {
    /// The number in `grpc-status`.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// What an answer that is no gRPC says by its HTTP status (grpc's http-grpc-status-mapping).
    #[must_use]
    pub const fn from_http(status: StatusCode) -> Self {
        match status.as_u16() {
            400 => Self::Internal,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            429 | 502 | 503 | 504 => Self::Unavailable,
            _ => Self::Unknown,
        }
    }
}

impl From<RpcCode> for Code {
    fn from(code: RpcCode) -> Self {
        match code {
            RpcCode::InvalidArgument => Self::InvalidArgument,
            RpcCode::DeadlineExceeded => Self::DeadlineExceeded,
            RpcCode::AlreadyExists => Self::AlreadyExists,
            RpcCode::PermissionDenied => Self::PermissionDenied,
            RpcCode::ResourceExhausted => Self::ResourceExhausted,
            RpcCode::FailedPrecondition => Self::FailedPrecondition,
            RpcCode::Unimplemented => Self::Unimplemented,
            RpcCode::Internal => Self::Internal,
            RpcCode::Unavailable => Self::Unavailable,
            RpcCode::Unauthenticated => Self::Unauthenticated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_a_code() {
        for code in Code::ALL {
            assert_eq!(Code::from_grpc(code.number()), Some(*code));
            assert_eq!(code.as_str().replace('_', ""), format!("{code:?}").to_lowercase());
        }
        assert_eq!(Code::ALL.len(), 16);
        assert_eq!(Code::from_grpc(0), None);
        assert_eq!(Code::from_grpc(17), Some(Code::Unknown));
    }
}
