#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| vestibule::import::oauth2_proxy::skip_auth_route_property::holds(data));
